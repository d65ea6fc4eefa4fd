"""A program that an agent runs in a job, and the order that starts it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ..errors import BatchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from ..agent.protocol import Header

INPUT_FRAME_BYTES = 1 << 20
"""How much input goes into one frame."""


class Orders(Protocol):
    """The way of orders to the agent of a program: what a program needs of its `AgentHandle`."""

    @property
    def host(self) -> str:
        """The node's name."""

    @property
    def address(self) -> str:
        """The node's address as the driver sees it."""

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send an order, which will arrive exactly once."""

    async def done(self) -> None:
        """Wait until the agent has confirmed all orders so far, or is not connected."""


class RemoteProcess:
    """A program that an agent runs.

    `pid` and `ports` are known once it runs, `code` once it has ended. `error` is why it could not
    be started. `out_of_memory` is true if the operating system has killed it because memory ran
    out. `on_output` is called with the stream, "stdout" or "stderr", and what was printed; by
    default it feeds `output`. `streams` are called with what connections to the program carry,
    and with None when it hangs up.
    """

    def __init__(self, agent: Orders, process_id: str) -> None:
        self.agent = agent
        self.id = process_id
        self.pid: int | None = None
        self.ports: list[int] = []
        self.code: int | None = None
        self.error = ""
        self.out_of_memory = False
        self.on_output: Callable[[str, bytes], None] = self._queue_output
        self.streams: dict[str, Callable[[bytes | None], None]] = {}
        self._output: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._lost: BatchError | None = None

    async def started(self) -> None:
        """Wait until the program runs. Raises BatchError if it cannot, or why the job ended."""
        await self._started.wait()
        if self._lost is not None:
            raise self._lost
        if self.error:
            raise BatchError(f"cannot be started on {self.agent.host}: {self.error}")

    @property
    def is_over(self) -> bool:
        """Whether the program has ended, or its job has."""
        return self._ended.is_set()

    async def wait(self) -> int:
        """Wait for the end; return the exit status, or minus the signal that ended the program.

        Raises why the job ended, if the program ended with its job.
        """
        await self._ended.wait()
        if self.code is None:
            assert self._lost is not None  # noqa: S101  (one of the two is why it ended)
            raise self._lost
        return self.code

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield what the program prints, as ("stdout" or "stderr", bytes), until it ends."""
        while (piece := await self._output.get()) is not None:
            yield piece

    def send_signal(self, number: int) -> None:
        """Send a signal to the program and to all that it has started."""
        self.agent.send({"type": "signal", "id": self.id, "number": int(number)})

    def write(self, data: bytes) -> None:
        """Send the program more input."""
        for start in range(0, len(data), INPUT_FRAME_BYTES):
            piece = data[start : start + INPUT_FRAME_BYTES]
            self.agent.send({"type": "write", "id": self.id}, piece)

    def close_stdin(self) -> None:
        self.agent.send({"type": "close", "id": self.id})

    def _queue_output(self, stream: str, data: bytes) -> None:
        self._output.put_nowait((stream, data))

    def note_start(self, pid: int, ports: list[int]) -> None:
        self.pid, self.ports = pid, ports
        self._started.set()

    def note_output(self, stream: str, data: bytes) -> None:
        self.on_output(stream, data)

    def note_stream(self, stream: str, data: bytes | None) -> None:
        if stream in self.streams:
            self.streams[stream](data)

    def note_exit(self, code: int, error: str) -> None:
        self.code, self.error = code, error
        self._close()

    def lost(self, error: BatchError) -> None:
        """Mark the program as ended with its job, unless it has ended already."""
        if not self._ended.is_set():
            self._lost = error
            self._close()

    def _close(self) -> None:
        self._started.set()
        self._ended.set()
        self._output.put_nowait(None)


def start_order(
    argv: Sequence[str],
    process_id: str,
    *,
    env: Mapping[str, str] | None = None,
    expand: Mapping[str, Sequence[str]] | None = None,
    cwd: str = "",
    files: Mapping[str, str] | None = None,
    ports: int = 0,
) -> Header:
    """Return the order to start a program, for `CallFolder.order` or `AgentHandle.send`."""
    order: Header = {"type": "start", "id": process_id, "argv": list(argv)}
    if env:
        order["env"] = dict(env)
    if expand:
        order["expand"] = {name: list(variables) for name, variables in expand.items()}
    if cwd:
        order["cwd"] = cwd
    if files:
        order["files"] = dict(files)
    if ports:
        order["ports"] = ports
    return order
