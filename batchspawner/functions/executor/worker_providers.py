"""Bring workers to a pool: processes of this machine, or of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import BatchError, JobFailed, JobOutOfMemory
from ...jobs import JobInfo, JobState
from ...runners import begin_dialogue
from ..protocol import worker
from ..protocol.payload import welcome

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable

    from ..job import FunctionJob

WORKER = worker.__file__

FROM_OUTSIDE = (-signal.SIGTERM, -signal.SIGXCPU, -signal.SIGUSR1, -signal.SIGUSR2)
"""How a worker ends whose job has to end: the scheduler knows why."""


class WorkerHandle(Protocol):
    """Speak with one worker."""

    name: str
    job: FunctionJob | None

    @property
    def is_ending(self) -> bool:
        """Whether its job ends so soon that it should begin nothing."""

    async def send(self, data: bytes) -> None:
        """Hand frames to the worker; what it can no longer take is not an error."""

    def answers(self) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        """Yield the worker's frames until it ends."""

    async def ending(self) -> BaseException:
        """Return why a worker ended that had something to do."""

    def finish(self) -> None:
        """Let the worker end when it has done what it has."""

    async def leave(self) -> None:
        """Let the worker and its job end so, though nobody may hear of it."""


class WorkerProvider:
    """Bring workers when they are asked for; `Pool` sets what is to be told."""

    on_hand: Callable[[WorkerHandle], None]
    on_failure: Callable[[int, BaseException], None]

    async def recruit(self, count: int) -> None:
        """Ask for more workers; each is announced by `on_hand`, or by `on_failure`."""
        raise NotImplementedError

    async def dismiss(self) -> None:
        """End, once no worker has anything to do."""

    async def withdraw(self) -> None:
        """See that workers who have not come yet do not stay when they do."""


class ProcessHandle:
    """Speak with a worker that is a child of this process."""

    job: FunctionJob | None = None
    is_ending = False

    def __init__(self, process: Process) -> None:
        self._process = process
        self._errors = Tail()
        assert process.stdin, process.stdout  # noqa: S101  (asked for)
        self._input = process.stdin
        self._log = asyncio.ensure_future(self._collect())
        self.name = f"process {process.pid}"

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._input.write(data)
            await self._input.drain()

    async def answers(self) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        assert self._process.stdout  # noqa: S101
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                yield await read_frame(self._process.stdout)
        # What it has started itself must not live on.
        with contextlib.suppress(ProcessLookupError):
            await asyncio.shield(self._process.wait())

    async def ending(self) -> BaseException:
        code = await self._process.wait()
        await self._log
        return death(self.name, code, self._errors.text)

    def finish(self) -> None:
        self._input.close()

    async def leave(self) -> None:
        self.finish()

    async def _collect(self) -> None:
        stream = self._process.stderr
        while stream and (data := await stream.read(1 << 16)):
            self._errors.add(data)
            sys.stderr.write(data.decode(errors="replace"))


class ProcessProvider(WorkerProvider):
    """Start workers as processes of this machine."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python

    async def recruit(self, count: int) -> None:
        for _ in range(count):
            try:
                process = await begin_dialogue((self._python, WORKER))
            except BatchError as error:
                self.on_failure(1, error)
                continue
            hand = ProcessHandle(process)
            await hand.send(welcome())
            self.on_hand(hand)


class Tail:
    """Keep the end of a log."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._data = b""

    def add(self, data: bytes) -> None:
        self._data = (self._data + data)[-self._limit :]

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace").strip()


async def read_frame(stream: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """Return the next frame. Raises IncompleteReadError at the end of the stream."""
    head, size = worker.HEAD.unpack(await stream.readexactly(worker.HEAD.size))
    header = json.loads(await stream.readexactly(head))
    return header, await stream.readexactly(size)


def taken(buffer: bytearray) -> list[tuple[dict[str, Any], bytes]]:
    """Take all whole frames out of a buffer."""
    found = []
    place = 0
    while len(buffer) - place >= worker.HEAD.size:
        head, size = worker.HEAD.unpack_from(buffer, place)
        begin = place + worker.HEAD.size
        end = begin + head + size
        if len(buffer) < end:
            break
        header = json.loads(buffer[begin : begin + head])
        found.append((header, bytes(buffer[begin + head : end])))
        place = end
    del buffer[:place]
    return found


def death(name: str, code: int, log_tail: str) -> JobFailed:
    """Return the error for a worker that died at a call: its exit code, or minus its signal."""
    if code == -signal.SIGKILL:
        status = JobInfo(
            name,
            JobState.OUT_OF_MEMORY,
            signal=signal.SIGKILL,
            reason="killed, most likely for its memory",
        )
        return JobOutOfMemory(status, log_tail)
    if code < 0:
        return JobFailed(JobInfo(name, JobState.FAILED, signal=-code), log_tail)
    reason = "ended in the middle of a call"
    return JobFailed(JobInfo(name, JobState.FAILED, exit_code=code, reason=reason), log_tail)
