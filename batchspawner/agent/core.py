"""Keep in touch with the driver, and look after the programs that it starts here."""

from __future__ import annotations

import contextlib
import json
import os
import random
import selectors
import signal
import socket
import sys
import threading
import time

from .calling import call_home
from .children import Child
from .guard import Guard
from .job_identity import index, job_end, job_id
from .links import Files, Link, Orders
from .memory import kills
from .outbox import Outbox
from .wire import CHUNK, ProtocolError

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from typing import IO, Any

DRAIN = 0.5
"""Seconds to wait for the rest of a program's output, where a child of it holds the pipe open."""

FAREWELL = 10.0
"""Seconds that the driver has, at the end, to confirm the last frames."""

_PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Agent:
    """Do what the orders say; tell what comes of it."""

    def __init__(self, file: str) -> None:
        self.file = os.path.abspath(file)
        self.call = self._read_call()
        self.folder = os.path.dirname(self.file)
        self.id = os.urandom(8).hex()
        self.began = time.time()
        self.children: dict[str, Child] = {}
        self.guard = Guard()
        self.selector = selectors.DefaultSelector()
        self.outbox = Outbox(self.id, bytes.fromhex(self.call["key"]), self.folder)
        self.orders = Orders(self)
        self.received = 0
        self.driver = ""
        self.link: Link | Files | None = None
        self.alone_since = time.monotonic()
        self.finishing: float | None = None
        self.killed = kills()
        self.tell_failure = self.unattended = False
        self._said_bye = False
        self.failed = False
        self._signals: list[int] = []
        self._found: tuple[socket.socket, bytes, bytes] | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self.selector.register(self._wake_read, selectors.EVENT_READ, self._woken)

    def _read_call(self) -> dict[str, Any]:
        with open(self.file, encoding="utf-8") as file:
            call: dict[str, Any] = json.load(file)
        return call

    def run(self) -> int:
        """Work until the driver says that it is enough, or nobody needs us; return a status."""
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in _PASSED_ON:
            signal.signal(number, lambda got, _: self._signals.append(got))
        if self.call["addresses"]:
            self._search()
        else:
            self.link = Files(self)
            self._say_hello(self.link)
        self.orders.read()
        while not self._over():
            for key, mask in self.selector.select(self._pause()):
                key.data(mask)
            self._work()
        for child in self.children.values():
            child.signal(signal.SIGKILL)
            child.close()
        self.guard.close()
        self.outbox.store()
        return int(self.failed and self.tell_failure)

    def _work(self) -> None:
        while self._signals:
            self._pass_on(self._signals.pop(0))
        for child in list(self.children.values()):
            self._reap(child)
        if isinstance(self.link, Files):
            self.orders.read()
        if self.link is not None:
            self.link.flush()
        elif time.monotonic() - self.alone_since > 1:
            self.outbox.spill()

    def _pause(self) -> float:
        ending = any(child.exited is not None for child in self.children.values())
        return 0.02 if ending else 0.2 if isinstance(self.link, Files) else 1.0

    def _over(self) -> bool:
        if self.finishing is not None and not self.children:
            if not self._said_bye:
                self._said_bye = True
                self.outbox.put({"type": "bye"})
                self._work()
            # What nobody confirms goes into the journal, where the driver looks in the end.
            late = time.monotonic() - self.finishing > FAREWELL
            return self.outbox.is_empty or self.link is None or late
        return self._forsaken()

    def _forsaken(self) -> bool:
        """Tell whether nobody has listened for as long as this call is to wait."""
        if self.link is not None or (self.unattended and self.children):
            return False
        patience = self.call.get("patience" if self.children else "linger")
        return patience is not None and time.monotonic() - self.alone_since > patience

    # --- the connection

    def _search(self) -> None:
        self.alone_since = time.monotonic()
        threading.Thread(target=self._find_driver, daemon=True).start()

    def _find_driver(self) -> None:
        pause = 0.2
        while True:
            with contextlib.suppress(OSError, ValueError):
                self.call = self._read_call()  # a driver that was restarted has other addresses
            try:
                self._found = call_home(self.call)
                self._wake_write.send(b"\0")
                return
            except (OSError, ProtocolError) as error:
                print(f"batchspawner agent: cannot call home yet: {error}", file=sys.stderr)
            # Thousands that lost one driver do not come back all at once.
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(pause * 2, 30.0)

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        if self._found is not None:
            found, self._found = self._found, None
            self.link = Link(self, *found)
            self._say_hello(self.link)

    def _say_hello(self, link: Link | Files) -> None:
        self.outbox.rewind()
        link.send(
            {
                "type": "hello",
                "agent": self.id,
                "received": self.received,
                "driver": self.driver,
                "host": socket.gethostname(),
                "address": link.address,
                "pid": os.getpid(),
                "python": list(sys.version_info[:3]),
                "executable": sys.executable,
                "job_id": job_id(self.call.get("identity", ())),
                "index": index(self.call.get("identity", ())),
                "began": self.began,
                "ends": self._ends(),
                "processes": {one.id: one.process.pid for one in self.children.values()},
                "ports": {one.id: one.ports for one in self.children.values()},
            }
        )

    def _ends(self) -> float | None:
        told = job_end(self.call.get("identity", ()))
        if told is not None:
            return told
        runtime = self.call.get("runtime")
        return self.began + runtime if runtime else None

    def lost(self) -> None:
        """Go on without the driver, and look for it."""
        self.link = None
        if self.finishing is None or self.children:
            self._search()

    def heard(self, header: dict[str, Any], payload: bytes) -> None:
        """Take a frame that the driver sent over the connection."""
        if header["type"] == "ack":
            self.outbox.confirmed(header["upto"])
        elif header["type"] == "welcome":
            if header["driver"] != self.driver:
                self.driver, self.received = header["driver"], 0
            self.outbox.resume(header["received"])
        elif header["seq"] > self.received:
            self.received = header["seq"]
            self.obey(header, payload)

    # --- orders

    def obey(self, order: dict[str, Any], payload: bytes) -> None:
        """Do what the driver says."""
        child = self.children.get(order.get("id", ""))
        if order["type"] == "start":
            self._start(order, payload)
        elif order["type"] == "finish":
            self.finishing = time.monotonic()
            self.tell_failure = order.get("tell_failure", False)
            self.unattended = order.get("unattended", False)
        elif order["type"] == "signal" and child is not None:
            child.signal(order["number"])
        elif order["type"] in ("write", "close") and child is not None:
            child.closing = child.closing or order["type"] == "close"
            self._feed(child, payload)

    def _start(self, order: dict[str, Any], payload: bytes) -> None:
        try:
            child = Child(order)
        except (OSError, ValueError) as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            self.failed = True
            self.outbox.put({"type": "exit", "id": order["id"], "code": code, "error": str(error)})
            return
        self.children[child.id] = child
        pid = child.process.pid
        self.guard.begun(pid, child.folder)
        self.outbox.put({"type": "started", "id": child.id, "pid": pid, "ports": child.ports})
        for name, pipe in child.outputs():
            self._listen(child, name, pipe)
        child.closing = order.get("close", False)
        self._feed(child, payload)

    def _listen(self, child: Child, name: str, pipe: IO[bytes]) -> None:
        self.selector.register(pipe, selectors.EVENT_READ, lambda _: self._read(child, name, pipe))

    def _read(self, child: Child, name: str, pipe: IO[bytes]) -> None:
        if self.outbox.is_full and self.link is not None:
            time.sleep(0.002)  # the driver is slower than the program, which has to wait
            return
        try:
            data = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return
        if data:
            self.outbox.put({"type": "output", "id": child.id, "stream": name}, data)
        else:
            self.selector.unregister(pipe)
            pipe.close()

    def _feed(self, child: Child, data: bytes = b"") -> None:
        if data:
            child.pending.append(data)
        pipe = child.stdin
        if pipe.closed:
            return
        known = pipe in self.selector.get_map()
        if child.has_no_room():
            if not known:
                self.selector.register(pipe, selectors.EVENT_WRITE, lambda _: self._feed(child))
            return
        if known:
            self.selector.unregister(pipe)
        if child.closing:
            with contextlib.suppress(OSError):
                pipe.close()

    def _pass_on(self, number: int) -> None:
        self.outbox.put({"type": "signal", "number": number})
        for child in self.children.values():
            child.signal(number)
        if number == signal.SIGTERM and self.finishing is None:
            self.finishing = time.monotonic()

    def _reap(self, child: Child) -> None:
        code = child.process.poll()
        if code is None:
            return
        child.exited = child.exited or time.monotonic()
        still_open = [pipe for _, pipe in child.outputs() if not pipe.closed]
        if still_open and time.monotonic() - child.exited < DRAIN:
            return
        for pipe in (*still_open, child.stdin):
            if not pipe.closed and pipe in self.selector.get_map():
                self.selector.unregister(pipe)
        child.close()
        self.guard.ended(child.process.pid)
        del self.children[child.id]
        self.failed = self.failed or code != 0
        exit_frame = {"type": "exit", "id": child.id, "code": code}
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL) and kills() > self.killed:
            self.killed = kills()
            exit_frame["out_of_memory"] = True
        self.outbox.put(exit_frame)
        if self.finishing is not None and not self.children:
            self.finishing = time.monotonic()
