"""Start a program and listen to it while it runs.

`batchspawner.runners` starts commands that end by themselves, soon; this is for programs of the
user that may run for days and print as they go.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from typing import TYPE_CHECKING

from ...runners import starting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    Chunk = tuple[str, bytes]
    """Where something was printed, "stdout" or "stderr", and what."""

_STREAMS = {1: "stdout", 2: "stderr"}

_WAITING = 64
"""Chunks that may wait for a listener before the program has to."""

_QUIET = 0.3
"""Seconds of silence after which an ended program's streams count as finished.

A program that it left behind in the background may hold them open for ever.
"""


class ChildProcess(asyncio.SubprocessProtocol):
    """Be a running program with a process group of its own; `start_process` makes one.

    It is told of the program by the event loop itself: asyncio's own streams say that a program
    has ended only when nobody holds them open any more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._chunks: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self._open = set(_STREAMS)
        self._last = 0.0
        self._finished = self._paused = False

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def output(self) -> AsyncIterator[Chunk]:
        """Yield what the program prints, in order of arrival, until it has ended."""
        return self._output()

    def send(self, number: int) -> None:
        """Send a signal to the whole process group, if there still is one."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def write(self, data: bytes) -> None:
        """Give the program something to read."""
        stdin = self._transport.get_pipe_transport(0)
        if isinstance(stdin, asyncio.WriteTransport) and not stdin.is_closing():
            stdin.write(data)

    async def wait(self) -> int:
        """Return the exit status, or the negative number of the signal that ended the program."""
        return await asyncio.shield(self._ended)

    async def ends_within(self, seconds: float) -> bool:
        """Wait for the end, but not longer than this, and return whether it came."""
        done, _ = await asyncio.wait([self._ended], timeout=seconds)
        return bool(done)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the program; the event loop calls it when it has started."""
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101
        self._transport, self._pid = transport, transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the program printed; the event loop calls it."""
        self._chunks.append((_STREAMS[fd], data))
        self._last = self._loop.time()
        self._news.set()
        if len(self._chunks) >= _WAITING:
            self._pause(True)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        """Note that a stream has ended; the event loop calls it."""
        self._open.discard(fd)
        self._maybe_finish()

    def process_exited(self) -> None:
        """Note that the program has ended; the event loop calls it."""
        code = self._transport.get_returncode()
        self._ended.set_result(1 if code is None else code)
        self._last = self._loop.time()
        self._maybe_finish()

    def _maybe_finish(self) -> None:
        if self._finished or not self._ended.done():
            return
        silent = not self._paused and self._loop.time() >= self._last + _QUIET
        if silent or not self._open:
            self._finished = True
            self._transport.close()
            self._news.set()
        else:
            self._loop.call_later(_QUIET, self._maybe_finish)

    async def _output(self) -> AsyncIterator[Chunk]:
        while self._chunks or not self._finished:
            self._news.clear()
            while self._chunks:
                yield self._chunks.popleft()
            self._pause(False)
            if not self._finished:
                await self._news.wait()

    def _pause(self, pause: bool) -> None:
        """Make the program wait until its output has been taken, or let it go on."""
        if pause is self._paused:
            return
        self._paused = pause
        for fd in self._open:
            pipe = self._transport.get_pipe_transport(fd)
            if isinstance(pipe, asyncio.ReadTransport):
                (pipe.pause_reading if pause else pipe.resume_reading)()


async def start_process(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    files: Sequence[int] = (),
    writable: bool = False,
) -> ChildProcess:
    """Start a program as this user, with our own environment unless another one is given.

    `files` are descriptors that it inherits. It reads from us where it is `writable`, else
    nothing. Raises CommandNotFound where there is no such program.
    """
    with starting(argv):
        _, process = await asyncio.get_running_loop().subprocess_exec(
            ChildProcess,
            *argv,
            stdin=asyncio.subprocess.PIPE if writable else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if environment is None else dict(environment),
            cwd=folder,
            pass_fds=tuple(files),
            start_new_session=True,
        )
    return process


def signal_name(number: int) -> str:
    """Return what people call a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
