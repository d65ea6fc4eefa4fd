"""Stand before a kernel: answer for it while it waits, and pass messages on when it is there.

Clients connect to five sockets on this machine, whose addresses stay the same while the job
waits, when the kernel restarts and when it comes to another node. So a kernel that waits is alive
for every client, and a cell that was run already says what it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from .channels import Curve, connect, serve
from .messages import Messages, kernel_info

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import zmq.asyncio

    from .messages import Message

log = logging.getLogger(__name__)

_OURS = b"batchspawner"
"""Whose questions to the kernel are our own."""

_BUSY = 2.0
"""Seconds in which a kernel that runs already answers, unless it is busy."""

_PATIENCE = 0.05
"""Seconds until a kernel whose answer was heard on one channel only is asked again."""


class KernelProxy:
    """Keep the clients of one kernel company, for as long as they know it.

    `asked_to_end` is called when a client asks a kernel to shut down that is not there yet,
    `learned` with what the kernel says of itself. `over` is the error of each cell that is run
    when no kernel comes any more.
    """

    def __init__(self, key: bytes, scheme: str, language: str) -> None:
        self.asked_to_end: Callable[[], None] = lambda: None
        self.learned: Callable[[dict[str, Any]], None] = lambda _: None
        self.about: dict[str, Any] = kernel_info(language)
        self.connected = False
        self.over: dict[str, Any] | None = None
        self._messages = Messages(key, scheme)
        self._fronts: dict[str, zmq.asyncio.Socket] = {}
        self._backs: dict[str, zmq.asyncio.Socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._pumps: list[asyncio.Task[None]] = []
        self._waiting: list[tuple[str, list[bytes], Message]] = []
        self._running: dict[str, Message] = {}
        self._notice = ""
        self._answered, self._heard = asyncio.Event(), asyncio.Event()
        self._passable = asyncio.Event()
        self._passable.set()

    def open(
        self, transport: str, ip: str, curve: Curve | None, ports: Mapping[str, int]
    ) -> dict[str, int]:
        """Bind the five sockets and return their ports by their names in a connection file.

        `ports` are those of an earlier process, whose clients look for us there.
        """
        ports = dict(ports)
        self._fronts = serve(transport, ip, ports, curve)
        self._tasks = [
            asyncio.ensure_future(self._receive(name)) for name in self._fronts if name != "iopub"
        ]
        return ports

    async def connect(
        self, info: Mapping[str, Any], curve: Curve | None, *, known: bool = False
    ) -> None:
        """Wait until the kernel answers, hand it what waits, and pass everything on from now on.

        One that is `known` to run may be busy, and cannot answer at once.
        """
        self._backs = connect(info, curve)
        self._pumps = [asyncio.ensure_future(self._pass_on(name)) for name in self._backs]
        await self._ask_for(_BUSY if known else None)
        await self._hand_over()

    def pause(self) -> None:
        """Keep back what is for the kernel: the way to it is lost for now."""
        self._passable.clear()

    async def resume(self) -> None:
        """Go on when the kernel's outputs come, too: what it prints before that is lost."""
        if self._backs:
            await self._ask_for(_BUSY)
        self._passable.set()

    async def _ask_for(self, seconds: float | None) -> None:
        """Ask the kernel until it answers, or for some seconds."""
        self._answered.clear()
        self._heard.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ask(), seconds)

    async def _ask(self) -> None:
        question = self._messages.write("kernel_info_request", {}, identities=[_OURS])
        await self._backs["shell"].send_multipart(question)
        await self._answered.wait()
        # The channel of outputs may be there later, and what comes before that is lost.
        while not self._heard.is_set():
            await self._backs["shell"].send_multipart(
                self._messages.write("kernel_info_request", {}, identities=[_OURS])
            )
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._heard.wait(), _PATIENCE)

    async def _hand_over(self) -> None:
        while self._waiting:
            name, frames, message = self._waiting.pop(0)
            if message.type == "execute_request":
                if self._is_shown(message):
                    await self._publish("clear_output", {"wait": False}, message)
                self._running[message.id] = message
            await self._backs[name].send_multipart(frames)
        self._notice = ""
        self.connected = True

    def disconnect(self) -> None:
        """Leave a kernel that has ended; what comes from now on waits for the next one."""
        self.connected = False
        self._passable.set()
        self._running.clear()
        for pump in self._pumps:
            pump.cancel()
        for socket in self._backs.values():
            socket.close(linger=0)
        self._pumps, self._backs = [], {}

    async def tell(self, notice: str) -> None:
        """Say in each cell that waits what it waits for."""
        if notice == self._notice:
            return
        before, self._notice = self._notice, notice
        for _, _, message in self._waiting:
            if self._is_shown(message):
                if before:
                    await self._publish("clear_output", {"wait": True}, message)
                await self._show_notice(message)

    async def fail(self, name: str, text: str, *, for_good: bool = False) -> None:
        """End each cell that waits or runs, with an error that says why.

        Where there is none, the error is for those who look into the log of a notebook. When the
        kernel is gone `for_good`, cells that come later end so, too.
        """
        error = _error(name, text)
        self.connected = False
        self.over = error if for_good else None
        if not await self._end_cells(error):
            await self._publish("error", error)

    async def _end_cells(self, error: Mapping[str, Any]) -> bool:
        cells = [message for _, _, message in self._waiting if message.type == "execute_request"]
        cells += self._running.values()
        self._waiting = [one for one in self._waiting if one[2].type != "execute_request"]
        self._running.clear()
        for message in cells:
            await self._end(message, error)
        return bool(cells)

    async def _end(self, message: Message, error: Mapping[str, Any]) -> None:
        await self._publish("error", error, message)
        await self._reply(message, "shell", {"status": "error", "execution_count": 0, **error})
        await self._publish("status", {"execution_state": "idle"}, message)

    def close(self) -> None:
        self.disconnect()
        for task in self._tasks:
            task.cancel()
        for socket in self._fronts.values():
            socket.close(linger=1000)
        self._fronts, self._tasks = {}, []

    async def _receive(self, name: str) -> None:
        """Take what clients send, on one channel."""
        front = self._fronts[name]
        while True:
            frames = await front.recv_multipart()
            if name == "hb":
                await front.send_multipart(frames)
            elif self.connected and name != "shell":
                await self._backs[name].send_multipart(frames)
            else:
                with contextlib.suppress(ValueError):
                    await self._take(name, frames, self._messages.read(frames))

    async def _take(self, name: str, frames: list[bytes], message: Message) -> None:
        await self._passable.wait()
        if self.connected:
            if message.type == "execute_request":
                self._running[message.id] = message
            await self._backs[name].send_multipart(frames)
        elif message.type == "kernel_info_request":
            await self._publish("status", {"execution_state": "busy"}, message)
            await self._reply(message, name, self.about)
            await self._publish("status", {"execution_state": "idle"}, message)
            # Clients may care for no state that comes of such a question: this one is the kernel's.
            state = "busy" if any(self._is_shown(one) for _, _, one in self._waiting) else "idle"
            await self._publish("status", {"execution_state": state})
        elif message.type == "shutdown_request":
            await self._reply(message, name, {"status": "ok", **message.content})
            self.asked_to_end()
        elif message.type == "interrupt_request":
            await self._reply(message, name, {"status": "ok"})
            await self.interrupt()
        elif self.over is not None and message.type == "execute_request":
            await self._publish("status", {"execution_state": "busy"}, message)
            await self._end(message, self.over)
        else:
            self._waiting.append((name, frames, message))
            if self._is_shown(message):
                await self._publish("status", {"execution_state": "busy"}, message)
                await self._show_notice(message)

    async def interrupt(self) -> None:
        """Give up the cells that wait, as an interrupt of a running one would."""
        if not self.connected:
            await self._end_cells(_error("KeyboardInterrupt", "the kernel still waits for its job"))

    @staticmethod
    def _is_shown(message: Message) -> bool:
        return message.type == "execute_request" and not message.content.get("silent")

    async def _show_notice(self, message: Message) -> None:
        if self._notice:
            text = {"name": "stdout", "text": f"{self._notice}\n"}
            await self._publish("stream", text, message)

    async def _publish(
        self, kind: str, content: Mapping[str, Any], parent: Message | None = None
    ) -> None:
        # A kernel puts a topic before each of its outputs; clients that know one ask for all.
        header = parent.header if parent else None
        frames = self._messages.write(kind, content, header, [kind.encode()])
        await self._fronts["iopub"].send_multipart(frames)

    async def _reply(self, message: Message, name: str, content: Mapping[str, Any]) -> None:
        kind = message.type.replace("_request", "_reply")
        frames = self._messages.write(kind, content, message.header, message.identities)
        await self._fronts[name].send_multipart(frames)

    async def _pass_on(self, name: str) -> None:
        """Take what the kernel sends, on one channel."""
        front, back = self._fronts[name], self._backs[name]
        while True:
            frames = await back.recv_multipart()
            if name == "iopub":
                self._heard.set()
            elif name == "shell" and not self._note(frames):
                continue
            await front.send_multipart(frames)

    def _note(self, frames: list[bytes]) -> bool:
        """Look at a reply of the kernel; return whether a client waits for it."""
        try:
            reply = self._messages.read(frames)
        except ValueError as error:
            log.warning("The kernel sent what is no reply of it: %s", error)
            return False
        self._running.pop(str(reply.parent.get("msg_id")), None)
        if reply.identities[:1] != [_OURS]:
            return True
        if not self._answered.is_set():
            self.about = dict(reply.content)
            self.learned(self.about)
            self._answered.set()
        return False


def _error(name: str, text: str) -> dict[str, Any]:
    return {"ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
