"""Proxy that answers for a kernel while it waits for its job, and forwards messages afterwards.

Clients connect to five sockets on this machine. Their addresses stay the same while the job waits,
when the kernel restarts and when it moves to another node. So a kernel that waits is alive for
every client, and a cell that runs already shows what it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from ...concurrency import BackgroundTasks, within
from .channels import Curve, connect, serve
from .messages import Messages, kernel_info

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import zmq.asyncio

    from .messages import Message

log = logging.getLogger(__name__)

_OWN_IDENTITY = b"batchspawner"
"""Identity of our own requests to the kernel; replies to it are for us."""

_BUSY_TIMEOUT_S = 2.0
"""How long a kernel that runs already may take to answer before it counts as busy."""

_RETRY_INTERVAL_S = 0.05
"""How long we wait for a kernel's outputs before we ask it again."""


class KernelProxy:
    """Sockets for the clients of one kernel, for as long as the server knows the kernel.

    `on_shutdown` is called when a client asks for the shutdown of a kernel that does not run yet.
    `kernel_info` is the content of the kernel's kernel_info_reply. `final_error` is the error of
    each cell that is run after the kernel has ended for good.
    """

    def __init__(self, key: bytes, scheme: str, language: str) -> None:
        self.on_shutdown: Callable[[], None] = lambda: None
        self.kernel_info: dict[str, Any] = kernel_info(language)
        self.connected = False
        self.final_error: dict[str, Any] | None = None
        self._messages = Messages(key, scheme)
        self._client_sockets: dict[str, zmq.asyncio.Socket] = {}
        self._kernel_sockets: dict[str, zmq.asyncio.Socket] = {}
        self._receivers = BackgroundTasks()
        self._forwarders = BackgroundTasks()
        self._waiting: list[tuple[str, list[bytes], Message]] = []
        self._running: dict[str, Message] = {}
        self._notice = ""
        self._answered, self._iopub_received = asyncio.Event(), asyncio.Event()
        self._not_paused = asyncio.Event()
        self._not_paused.set()

    def open(
        self, transport: str, ip: str, curve: Curve | None, ports: Mapping[str, int]
    ) -> dict[str, int]:
        """Bind the five sockets and return their ports by their names in a connection file.

        `ports` are those of an earlier process, to which its clients are still connected.
        """
        ports = dict(ports)
        self._client_sockets = serve(transport, ip, ports, curve)
        for name in self._client_sockets:
            if name != "iopub":
                self._receivers.start(self._receive(name))
        return ports

    async def connect(
        self, addresses: Mapping[str, str], curve: Curve | None, *, known: bool = False
    ) -> None:
        """Connect to the kernel, wait for its answer, and forward messages from then on.

        A kernel that is `known` to run may be busy, and unable to answer at once.
        """
        self._kernel_sockets = connect(addresses, curve)
        for name in self._kernel_sockets:
            self._forwarders.start(self._forward(name))
        await self._wait_for_answer(_BUSY_TIMEOUT_S if known else None)
        await self._send_waiting()

    def pause(self) -> None:
        """Stop forwarding to the kernel: the connection to it is lost for now."""
        self._not_paused.clear()

    async def resume(self) -> None:
        """Forward again, once the kernel's outputs arrive: earlier ones would be lost."""
        if self._kernel_sockets:
            await self._wait_for_answer(_BUSY_TIMEOUT_S)
        self._not_paused.set()

    async def _wait_for_answer(self, seconds: float | None) -> None:
        """Send requests until the kernel answers, or for so many seconds."""
        self._answered.clear()
        self._iopub_received.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(seconds, self._request_kernel_info())

    async def _request_kernel_info(self) -> None:
        await self._send_kernel_info_request()
        await self._answered.wait()
        # The iopub channel may connect later, and outputs before that are lost.
        while not self._iopub_received.is_set():
            await self._send_kernel_info_request()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_RETRY_INTERVAL_S, self._iopub_received.wait())

    async def _send_kernel_info_request(self) -> None:
        request = self._messages.write("kernel_info_request", {}, identities=[_OWN_IDENTITY])
        await self._kernel_sockets["shell"].send_multipart(request)

    async def _send_waiting(self) -> None:
        while self._waiting:
            name, frames, message = self._waiting.pop(0)
            if message.type == "execute_request":
                if self._is_shown(message):
                    await self._publish("clear_output", {"wait": False}, message)
                self._running[message.id] = message
            await self._kernel_sockets[name].send_multipart(frames)
        self._notice = ""
        self.connected = True

    def disconnect(self) -> None:
        """Disconnect from a kernel that has ended; later messages wait for the next one."""
        self.connected = False
        self._not_paused.set()
        self._running.clear()
        self._forwarders.cancel()
        for socket in self._kernel_sockets.values():
            socket.close(linger=0)
        self._kernel_sockets = {}

    async def set_notice(self, notice: str) -> None:
        """Show in each cell that waits what it waits for."""
        if notice == self._notice:
            return
        before, self._notice = self._notice, notice
        for _, _, message in self._waiting:
            if self._is_shown(message):
                if before:
                    await self._publish("clear_output", {"wait": True}, message)
                await self._show_notice(message)

    async def warn(self, text: str) -> None:
        """Write a warning into the log of a notebook."""
        await self._publish("stream", {"name": "stderr", "text": f"{text}\n"})

    async def fail(self, name: str, text: str, *, final: bool = False) -> None:
        """End each cell that waits or runs with an error.

        Without such a cell, the error goes to the log of a notebook. If it is `final`, later cells
        end with it, too.
        """
        error = _error(name, text)
        self.connected = False
        self.final_error = error if final else None
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
        self._receivers.cancel()
        for socket in self._client_sockets.values():
            socket.close(linger=1000)
        self._client_sockets = {}

    async def _receive(self, name: str) -> None:
        """Receive what clients send, on one channel."""
        clients = self._client_sockets[name]
        while True:
            frames: list[bytes] = await clients.recv_multipart()
            if name == "hb":
                await clients.send_multipart(frames)
            elif self.connected and name != "shell":
                await self._kernel_sockets[name].send_multipart(frames)
            else:
                with contextlib.suppress(ValueError):
                    await self._handle(name, frames, self._messages.read(frames))

    async def _handle(self, name: str, frames: list[bytes], message: Message) -> None:
        await self._not_paused.wait()
        if self.connected:
            if message.type == "execute_request":
                self._running[message.id] = message
            await self._kernel_sockets[name].send_multipart(frames)
        elif message.type == "kernel_info_request":
            await self._answer_kernel_info(name, message)
        elif message.type == "shutdown_request":
            await self._reply(message, name, {"status": "ok", **message.content})
            self.on_shutdown()
        elif message.type == "interrupt_request":
            await self._reply(message, name, {"status": "ok"})
            await self.interrupt()
        elif self.final_error is not None and message.type == "execute_request":
            await self._publish("status", {"execution_state": "busy"}, message)
            await self._end(message, self.final_error)
        else:
            self._waiting.append((name, frames, message))
            if self._is_shown(message):
                await self._publish("status", {"execution_state": "busy"}, message)
                await self._show_notice(message)

    async def _answer_kernel_info(self, name: str, message: Message) -> None:
        await self._publish("status", {"execution_state": "busy"}, message)
        await self._reply(message, name, self.kernel_info)
        await self._publish("status", {"execution_state": "idle"}, message)
        # Clients may ignore the states that such a request causes: this one is the kernel's.
        state = "busy" if any(self._is_shown(one) for _, _, one in self._waiting) else "idle"
        await self._publish("status", {"execution_state": state})

    async def interrupt(self) -> None:
        """End the cells that wait with the error of an interrupt."""
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
        # Outputs begin with a topic; clients subscribe to all of them.
        header = parent.header if parent else None
        frames = self._messages.write(kind, content, header, [kind.encode()])
        await self._client_sockets["iopub"].send_multipart(frames)

    async def _reply(self, message: Message, name: str, content: Mapping[str, Any]) -> None:
        kind = message.type.replace("_request", "_reply")
        frames = self._messages.write(kind, content, message.header, message.identities)
        await self._client_sockets[name].send_multipart(frames)

    async def _forward(self, name: str) -> None:
        """Forward what the kernel sends, on one channel, to the clients."""
        clients, kernel = self._client_sockets[name], self._kernel_sockets[name]
        while True:
            frames: list[bytes] = await kernel.recv_multipart()
            if name == "iopub":
                self._iopub_received.set()
            elif name == "shell" and not self._is_for_client(frames):
                continue
            await clients.send_multipart(frames)

    def _is_for_client(self, frames: list[bytes]) -> bool:
        """Process a reply of the kernel, and return whether it is for a client."""
        try:
            reply = self._messages.read(frames)
        except ValueError as error:
            log.warning("The kernel sent an invalid reply: %s", error)
            return False
        self._running.pop(str(reply.parent.get("msg_id")), None)
        if reply.identities[:1] != [_OWN_IDENTITY]:
            return True
        if not self._answered.is_set():
            self.kernel_info = dict(reply.content)
            self._answered.set()
        return False


def _error(name: str, text: str) -> dict[str, Any]:
    return {"ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
