"""The agent: it keeps in touch with the driver, and runs the programs that the driver starts."""

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

from .call_home import call_home
from .child_process import ChildProcess
from .job_identity import index, job_end, job_id
from .job_limits import job_limits
from .journal import Journal
from .kill_on_exit import KillOnExit
from .oom import oom_kills
from .outbox import Outbox
from .protocol import CHUNK_BYTES, ProtocolError
from .streams import Streams
from .transports import FileTransport, OrderFile, SocketTransport

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

    from .protocol import CallSettings, Frame, Header
    from .transports import Transport

DRAIN_TIMEOUT_S = 0.5
"""How long to wait for the rest of a program's output if a child of it holds the pipe open."""

CONFIRM_TIMEOUT_S = 10.0
"""How long the driver may take, at the end, to confirm the last frames."""

FIRST_RETRY_S, MAX_RETRY_S = 0.2, 30.0
"""Pauses between two attempts to reach the driver."""

_FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Agent:
    """One agent, which obeys the orders of a driver and reports to it.

    `file` is the path of `call.json`. `received` is the number of the last order that arrived over
    the connection, `driver` the word by which the driver calls itself.
    """

    def __init__(self, file: str) -> None:
        self.file = os.path.abspath(file)
        self.call = self._read_call()
        self.folder = os.path.dirname(self.file)
        self.id = os.urandom(8).hex()
        self.began = time.time()
        self.children: dict[str, ChildProcess] = {}
        self.kill_on_exit = KillOnExit()
        self.selector = selectors.DefaultSelector()
        key = bytes.fromhex(self.call["key"])
        self.outbox = Outbox(self.id, Journal(self.folder, key))
        self.orders = OrderFile(self.folder, key)
        self.streams = Streams(self.selector, self.outbox)
        self.received = 0
        self.driver = ""
        self.transport: Transport | None = None
        self.offline_since = time.monotonic()
        self.finishing: float | None = None
        self.oom_kills = oom_kills()
        self.has_run = False
        self.fail_job = self.unattended = False
        self._said_bye = False
        self.failed = False
        self._signals: list[int] = []
        self._found: tuple[socket.socket, bytes, bytes] | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self.selector.register(self._wake_read, selectors.EVENT_READ, self._woken)

    def _read_call(self) -> CallSettings:
        with open(self.file, encoding="utf-8") as file:
            call: CallSettings = json.load(file)
        return call

    def run(self) -> int:
        """Work until the driver says `finish`, or is gone for too long; return an exit status."""
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in _FORWARDED_SIGNALS:
            signal.signal(number, lambda got, _: self._signals.append(got))
        if self.call["addresses"]:
            self.orders.read(self.id, self.obey)
            self._search()
        else:
            self.transport = FileTransport(self.outbox)
            self._say_hello(self.transport)
            self.orders.read(self.id, self.obey)
        while not self._over():
            for key, mask in self.selector.select(self._pause()):
                key.data(mask)
            self._work()
        for child in self.children.values():
            child.signal(signal.SIGKILL)
            child.close()
        self.kill_on_exit.close()
        if self.transport is None and not self.driver and not self.outbox.is_empty:
            # It has ended before it could call; the driver reads in the journal which job it was.
            with contextlib.suppress(OSError):
                self._say_hello(FileTransport(self.outbox))
        self.outbox.store()
        return int(self.failed and self.fail_job)

    def _work(self) -> None:
        while self._signals:
            self._forward_signal(self._signals.pop(0))
        for child in list(self.children.values()):
            self._reap(child)
        if self.transport is not None and self.transport.is_polled:
            self.orders.read(self.id, self.obey)
        if self.transport is not None:
            self.transport.flush()
        elif time.monotonic() - self.offline_since > 1:
            self.outbox.spill()

    def _pause(self) -> float:
        ending = any(child.exited is not None for child in self.children.values())
        if ending:
            return 0.02
        return 0.2 if self.transport is not None and self.transport.is_polled else 1.0

    def _over(self) -> bool:
        if self.finishing is not None and not self.children:
            if not self._said_bye:
                self._said_bye = True
                self.outbox.put({"type": "bye"})
                self._work()
            # What nobody confirms goes into the journal, where the driver looks in the end.
            late = time.monotonic() - self.finishing > CONFIRM_TIMEOUT_S
            return self.outbox.is_empty or self.transport is None or late
        return self._is_abandoned()

    def _is_abandoned(self) -> bool:
        """Return whether there has been no driver for as long as this call is to wait for one."""
        if self.transport is not None or (self.unattended and self.children):
            return False
        limit = self.call.get("linger")
        if self.children:
            limit = self.call.get("patience")
        elif self.has_run:
            limit = self.call.get("linger_after", limit)
        return limit is not None and time.monotonic() - self.offline_since > limit

    # --- the connection

    def _search(self) -> None:
        self.offline_since = time.monotonic()
        threading.Thread(target=self._find_driver, daemon=True).start()

    def _find_driver(self) -> None:
        pause = FIRST_RETRY_S
        while True:
            with contextlib.suppress(OSError, ValueError):
                self.call = self._read_call()  # a driver that was restarted has other addresses
            try:
                self._found = call_home(self.call)
                self._wake_write.send(b"\0")
                return
            except (OSError, ProtocolError) as error:
                # A job that has all its orders needs no driver, which may have ended long ago.
                if self.finishing is None:
                    print(f"batchspawner agent: cannot call home yet: {error}", file=sys.stderr)
            # Thousands that lost one driver do not come back all at once.
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(pause * 2, MAX_RETRY_S)

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        if self._found is not None:
            found, self._found = self._found, None
            self.transport = SocketTransport(
                found[0],
                found[1:],
                self.outbox,
                self.selector,
                on_frames=self._receive,
                on_lost=self._lost,
            )
            self._say_hello(self.transport)

    def _say_hello(self, transport: Transport) -> None:
        self.outbox.rewind()
        transport.send(
            {
                "type": "hello",
                "agent": self.id,
                "received": self.received,
                "driver": self.driver,
                "host": socket.gethostname(),
                "address": transport.address,
                "pid": os.getpid(),
                "python": list(sys.version_info[:3]),
                "job_id": job_id(self.call.get("identity", ())),
                "index": index(self.call.get("identity", ())),
                "began": self.began,
                "ends": self._end_of_walltime(),
                "limits": job_limits(self.call.get("identity", ())),
                "processes": {one.id: one.process.pid for one in self.children.values()},
                "ports": {one.id: one.ports for one in self.children.values()},
            }
        )

    def _end_of_walltime(self) -> float | None:
        end = job_end(self.call.get("identity", ()))
        if end is not None:
            return end
        runtime = self.call.get("runtime")
        return self.began + runtime if runtime else None

    def _lost(self) -> None:
        self.transport = None
        if self.finishing is None or self.children:
            self._search()

    def _receive(self, frames: Iterable[Frame]) -> None:
        """Handle frames that the driver sent over the connection, and confirm the orders."""
        before = self.received
        for header, payload in frames:
            self._handle(header, payload)
        if self.received != before and self.transport is not None:
            self.transport.send({"type": "ack", "agent": self.id, "upto": self.received})

    def _handle(self, header: Header, payload: bytes) -> None:
        if header["type"] == "ack":
            self.outbox.confirmed(header["upto"])
        elif header["type"] == "welcome":
            if header["driver"] != self.driver:
                self.driver, self.received = header["driver"], 0
                self.streams.close()
            self.outbox.resume(header["received"])
        elif header["seq"] > self.received:
            self.received = header["seq"]
            self.obey(header, payload)

    # --- orders

    def obey(self, order: Header, payload: bytes) -> None:
        """Carry out an order of the driver."""
        child = self.children.get(order.get("id", ""))
        if order["type"] == "start":
            self._start(order, payload)
        elif order["type"] == "orders":
            # Others could read them on the connection.
            self.orders.read(self.id, self.obey)
        elif order["type"] in ("connect", "data", "hangup"):
            self.streams.obey(order, payload, child)
        elif order["type"] == "finish":
            self.finishing = time.monotonic()
            self.fail_job = order.get("tell_failure", False)
            self.unattended = order.get("unattended", False)
        elif order["type"] == "signal" and child is not None:
            child.signal(order["number"])
        elif order["type"] in ("write", "close") and child is not None:
            child.closing = child.closing or order["type"] == "close"
            self._feed(child, payload)

    def _start(self, order: Header, payload: bytes) -> None:
        try:
            child = ChildProcess(order)
        except (OSError, ValueError) as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            self.failed = True
            self.outbox.put({"type": "exit", "id": order["id"], "code": code, "error": str(error)})
            return
        self.children[child.id] = child
        self.has_run = True
        pid = child.process.pid
        self.kill_on_exit.begun(pid, child.folder)
        self.outbox.put({"type": "started", "id": child.id, "pid": pid, "ports": child.ports})
        for name, pipe in child.outputs():
            self._listen(child, name, pipe)
        child.closing = order.get("close", False)
        self._feed(child, payload)

    def _listen(self, child: ChildProcess, name: str, pipe: IO[bytes]) -> None:
        self.selector.register(pipe, selectors.EVENT_READ, lambda _: self._read(child, name, pipe))

    def _read(self, child: ChildProcess, name: str, pipe: IO[bytes]) -> None:
        if self.outbox.is_full and self.transport is not None:
            time.sleep(0.002)  # the driver is slower than the program, which has to wait
            return
        try:
            data = os.read(pipe.fileno(), CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self.outbox.put({"type": "output", "id": child.id, "stream": name}, data)
        else:
            self.selector.unregister(pipe)
            pipe.close()

    def _feed(self, child: ChildProcess, data: bytes = b"") -> None:
        if data:
            child.pending.append(data)
        pipe = child.stdin
        if pipe.closed:
            return
        is_registered = pipe in self.selector.get_map()
        if child.write_pending():
            if not is_registered:
                self.selector.register(pipe, selectors.EVENT_WRITE, lambda _: self._feed(child))
            return
        if is_registered:
            self.selector.unregister(pipe)
        if child.closing:
            with contextlib.suppress(OSError):
                pipe.close()

    def _forward_signal(self, number: int) -> None:
        self.outbox.put({"type": "signal", "number": number})
        for child in self.children.values():
            child.signal(number)
        if number == signal.SIGTERM and self.finishing is None:
            self.finishing = time.monotonic()

    def _reap(self, child: ChildProcess) -> None:
        code = child.process.poll()
        if code is None:
            return
        child.exited = child.exited or time.monotonic()
        still_open = [pipe for _, pipe in child.outputs() if not pipe.closed]
        if still_open and time.monotonic() - child.exited < DRAIN_TIMEOUT_S:
            return
        for pipe in (*still_open, child.stdin):
            if not pipe.closed and pipe in self.selector.get_map():
                self.selector.unregister(pipe)
        child.close()
        self.kill_on_exit.ended(child.process.pid)
        del self.children[child.id]
        self.failed = self.failed or code != 0
        exit_frame: Header = {"type": "exit", "id": child.id, "code": code}
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL) and oom_kills() > self.oom_kills:
            self.oom_kills = oom_kills()
            exit_frame["out_of_memory"] = True
        self.outbox.put(exit_frame)
        if self.finishing is not None and not self.children:
            self.finishing = time.monotonic()
