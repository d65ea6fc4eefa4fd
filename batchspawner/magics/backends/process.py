"""Child processes whose output is read while they run.

`batchspawner.runners` is for commands that end soon; this is for programs of the user, which may
run for days.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from typing import TYPE_CHECKING

from ...processes import starting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    Chunk = tuple[str, bytes]
    """The stream of an output, "stdout" or "stderr", and the output."""

_STREAMS = {1: "stdout", 2: "stderr"}

_MAX_CHUNKS = 64
"""How many chunks may wait to be read before the program is made to wait."""

_QUIET_S = 0.3
"""Time without output after which the streams of an ended program count as finished.

A process that it left in the background may hold them open.
"""


class ChildProcess(asyncio.SubprocessProtocol):
    """A running program with a process group of its own; made by `start_process`.

    It is a protocol of the event loop because asyncio's own streams end only when the last process
    that holds them open has ended.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._chunks: deque[Chunk] = deque()
        self._new_data = asyncio.Event()
        self._open = set(_STREAMS)
        self._last = 0.0
        self._finished = self._paused = False

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def output(self) -> AsyncIterator[Chunk]:
        """What the program prints, in order of arrival, until it has ended."""
        return self._output()

    def send(self, number: int) -> None:
        """Send a signal to the whole process group, if it still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def write(self, data: bytes) -> None:
        """Write to the program's standard input."""
        stdin = self._transport.get_pipe_transport(0)
        if isinstance(stdin, asyncio.WriteTransport) and not stdin.is_closing():
            stdin.write(data)

    async def wait(self) -> int:
        """Wait for the end; return the exit status, or the negative number of the signal."""
        return await asyncio.shield(self._ended)

    async def ends_within(self, seconds: float) -> bool:
        """Wait for the end for at most so many seconds, and return whether it came."""
        done, _ = await asyncio.wait([self._ended], timeout=seconds)
        return bool(done)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport; the event loop calls it when the program has started."""
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101
        self._transport, self._pid = transport, transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Queue some output; the event loop calls it."""
        self._chunks.append((_STREAMS[fd], data))
        self._last = self._loop.time()
        self._new_data.set()
        if len(self._chunks) >= _MAX_CHUNKS:
            self._pause(True)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        """Record that a stream has ended; the event loop calls it."""
        self._open.discard(fd)
        self._maybe_finish()

    def process_exited(self) -> None:
        """Record that the program has ended; the event loop calls it."""
        code = self._transport.get_returncode()
        self._ended.set_result(1 if code is None else code)
        self._last = self._loop.time()
        self._maybe_finish()

    def _maybe_finish(self) -> None:
        if self._finished or not self._ended.done():
            return
        silent = not self._paused and self._loop.time() >= self._last + _QUIET_S
        if silent or not self._open:
            self._finished = True
            self._transport.close()
            self._new_data.set()
        else:
            self._loop.call_later(_QUIET_S, self._maybe_finish)

    async def _output(self) -> AsyncIterator[Chunk]:
        while self._chunks or not self._finished:
            self._new_data.clear()
            while self._chunks:
                yield self._chunks.popleft()
            self._pause(False)
            if not self._finished:
                await self._new_data.wait()

    def _pause(self, pause: bool) -> None:
        """Stop reading, so that the program has to wait, or go on."""
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

    `files` are descriptors that it inherits. Its standard input is a pipe if `writable`, else
    empty. Raises CommandNotFound.
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
    """Return the name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
