"""Workers that are processes of this machine."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from ...errors import BatchError
from ...processes import begin_dialogue, end_process
from ..options import JobFiles
from ..protocol import worker
from ..protocol.frames import read_frame
from ..protocol.main_module import interpreter
from ..protocol.payload import welcome
from ..protocol.results import worker_failure
from .worker_handles import LogTail
from .worker_providers import WorkerProvider

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ..function_job import FunctionJob
    from ..protocol.worker import Frame

WORKER = worker.__file__

_EXIT_POLL_INTERVAL_S = 0.2
"""Seconds between two looks whether a process has ended whose pipes others keep open."""

_COPY_TIMEOUT_S = 1.0
"""Seconds in which the rest of the output is shown of a process that has ended."""


class ProcessHandle:
    """Connection to a worker that is a child of this process."""

    job: FunctionJob | None = None
    spool: Path | None = None
    is_ending = False

    def __init__(self, process: Process, printed: asyncio.StreamReader) -> None:
        self._process = process
        self._output = LogTail()
        assert process.stdin, process.stderr  # noqa: S101  (both are pipes)
        self._input = process.stdin
        copies = (self._copy(printed, "stdout"), self._copy(process.stderr, "stderr"))
        self._copies = [asyncio.ensure_future(one) for one in copies]
        self._exit = asyncio.ensure_future(self._follow_exit())
        self.name = f"process {process.pid}"

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._input.write(data)
            await self._input.drain()

    async def answers(self) -> AsyncIterator[Frame]:
        assert self._process.stdout  # noqa: S101
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                yield await read_frame(self._process.stdout)
        await asyncio.shield(self._exit)
        await self._copied()

    async def exit_reason(self) -> BaseException:
        code = await asyncio.shield(self._exit)
        return worker_failure(self.name, code, self._output.text)

    def finish(self) -> None:
        self._input.close()

    async def detach(self) -> None:
        self.finish()

    async def _follow_exit(self) -> int:
        """Wait for the end of the process, kill what its calls have left, return its exit code.

        Whatever they have left would keep the pipes open, for the end of which `Process.wait`
        waits, too.
        """
        waiting = asyncio.ensure_future(self._process.wait())
        while (code := self._process.returncode) is None:
            await asyncio.wait([waiting], timeout=_EXIT_POLL_INTERVAL_S)
        await end_process(self._process)
        return code

    async def _copied(self) -> None:
        """Wait until all that the calls have printed is shown.

        What has left the session of the process may keep the pipes open for longer.
        """
        await asyncio.wait(self._copies, timeout=_COPY_TIMEOUT_S)

    async def _copy(self, stream: asyncio.StreamReader | None, name: str) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while stream and (data := await stream.read(1 << 16)):
            self._output.add(data)
            shown: TextIO = getattr(sys, name)
            shown.write(decoder.decode(data))
            shown.flush()


class ProcessProvider(WorkerProvider):
    """Provider of workers that are processes of this machine."""

    def __init__(self, python: str = sys.executable, files: JobFiles | None = None) -> None:
        self._python, self._files = python, files or JobFiles()

    async def request_workers(self, count: int) -> None:
        for _ in range(count):
            try:
                handle = await self._started()
            except BatchError as error:
                self.on_failure(1, error)
                continue
            await handle.send(welcome(folder=self._files.folder, results=self.results))
            self.on_worker(handle)

    async def _started(self) -> ProcessHandle:
        """Start a worker. Its standard output has the frames: what calls print has another pipe."""
        ours, theirs = os.pipe()
        printed = await _pipe_reader(ours)
        environment = {**self._files.environment(None, "functions"), worker.STDOUT: str(theirs)}
        command = (*interpreter(self._python), WORKER)
        try:
            return ProcessHandle(await begin_dialogue(command, environment, [theirs]), printed)
        finally:
            os.close(theirs)


async def _pipe_reader(descriptor: int) -> asyncio.StreamReader:
    """Return a stream of what comes through a pipe; its end closes it."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    file = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, file)
    return reader
