"""Worker handles and providers as a pool sees them, and those for processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

from ...errors import BatchError
from ...runners import begin_dialogue
from ..options import JobFiles
from ..protocol import worker
from ..protocol.frames import read_frame
from ..protocol.main_module import interpreter
from ..protocol.payload import welcome
from ..protocol.results import worker_failure

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable

    from ..job import FunctionJob
    from ..protocol.worker import Frame

WORKER = worker.__file__


class WorkerHandle(Protocol):
    """Connection to one worker."""

    name: str
    job: FunctionJob | None

    @property
    def is_ending(self) -> bool:
        """Whether its job ends so soon that it should begin nothing more."""

    async def send(self, data: bytes) -> None:
        """Send frames to the worker; it is not an error if it has ended."""

    def answers(self) -> AsyncIterator[Frame]:
        """Yield the worker's frames until it ends."""

    async def exit_reason(self) -> BaseException:
        """Return why a worker ended that still had calls."""

    def finish(self) -> None:
        """Send nothing more: the worker ends when it has done its calls."""

    async def detach(self) -> None:
        """Do the same, and make its job end then even if this process has ended."""


class WorkerProvider:
    """Source of workers. `Pool` sets the callbacks."""

    on_worker: Callable[[WorkerHandle], None]
    """Called with the handle of each worker that has started."""

    on_failure: Callable[[int, BaseException], None]
    """Called with a number of workers that will not start, and why."""

    on_requeue: Callable[[int], None]
    """Called with a number of workers that will start again, in jobs that were requeued."""

    async def request_workers(self, count: int) -> None:
        """Request more workers; a callback is called for each, now or later."""
        raise NotImplementedError

    async def close(self) -> None:
        """Release everything; called when no worker has anything to do."""

    async def cancel_requests(self) -> None:
        """Cancel the requests for workers that have not started yet."""


class ProcessHandle:
    """Connection to a worker that is a child of this process."""

    job: FunctionJob | None = None
    is_ending = False

    def __init__(self, process: Process) -> None:
        self._process = process
        self._errors = LogTail()
        assert process.stdin, process.stdout  # noqa: S101  (both are pipes)
        self._input = process.stdin
        self._log = asyncio.ensure_future(self._copy_errors())
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
        with contextlib.suppress(ProcessLookupError):
            await asyncio.shield(self._process.wait())

    async def exit_reason(self) -> BaseException:
        code = await self._process.wait()
        await self._log
        return worker_failure(self.name, code, self._errors.text)

    def finish(self) -> None:
        self._input.close()

    async def detach(self) -> None:
        self.finish()

    async def _copy_errors(self) -> None:
        stream = self._process.stderr
        while stream and (data := await stream.read(1 << 16)):
            self._errors.add(data)
            sys.stderr.write(data.decode(errors="replace"))


class ProcessProvider(WorkerProvider):
    """Provider of workers that are processes of this machine."""

    def __init__(self, python: str = sys.executable, files: JobFiles | None = None) -> None:
        self._python, self._files = python, files or JobFiles()

    async def request_workers(self, count: int) -> None:
        environment = self._files.environment(None, "functions")
        for _ in range(count):
            try:
                process = await begin_dialogue((*interpreter(self._python), WORKER), environment)
            except BatchError as error:
                self.on_failure(1, error)
                continue
            handle = ProcessHandle(process)
            await handle.send(welcome(folder=self._files.folder))
            self.on_worker(handle)


class LogTail:
    """The last bytes of a log."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._data = b""

    def add(self, data: bytes) -> None:
        self._data = (self._data + data)[-self._limit :]

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace").strip()
