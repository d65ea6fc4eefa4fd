"""Jobs that do the calls in their folder, also after this process has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...agent.protocol import OWN_PYTHON
from ...allocation.allocation import Allocation
from ...allocation.remote_process import start_order
from ...concurrency import BackgroundTasks
from ...errors import BatchError, JobFailed
from ...jobs import JobState
from ...private_folders import open_plain
from ..options import JobFiles
from ..protocol import worker
from ..protocol.main_module import interpreter
from ..protocol.payload import welcome
from ..protocol.results import (
    EXTERNAL_SIGNALS,
    PythonMismatch,
    python_mismatch,
    read_result,
    worker_failure,
)
from ..session import QUIET_PERIOD_S, new_folder_call, shared_listener

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.remote_process import RemoteProcess
    from ...client.batch_client import BatchClient
    from ...jobs import JobInfo
    from ..function_job import FunctionJob
    from ..protocol.payload import PackedCall

log = logging.getLogger(__name__)

_PROCESS_ID = "calls"


@dataclass(frozen=True)
class JobSettings:
    """Settings of a job that are no resources: its name, its Python and its files.

    Without `network` the job sends its results through files only.
    """

    name: str
    python: str
    network: bool = True
    files: JobFiles = field(default_factory=JobFiles)


async def submit(
    client: BatchClient,
    calls: Sequence[PackedCall],
    resources: Mapping[str, Any],
    settings: JobSettings,
) -> Allocation:
    """Submit a job for calls; once submitted, it no longer needs this process.

    Raises SubmitError, SchedulerUnavailable, OptionsError, TemplateError or OSError.
    """
    call = new_folder_call(resources.get("runtime"), settings.python, detached=True)
    files = settings.files
    # The agent runs in `settings.python`, which may have entered a container.
    argv = [*interpreter(OWN_PYTHON), str(call.folder / "worker.py"), str(call.folder)]
    env = files.environment(client.scheduler, settings.name)
    with call.filling():
        _write_calls(call.folder / "calls", calls, files.folder)
        call.order(start_order(argv, _PROCESS_ID, env=env))
        call.order({"type": "finish", "tell_failure": True})
    listener = await shared_listener() if settings.network else None
    return await Allocation.submit(
        client,
        listener,
        front_end="functions",
        name=settings.name,
        call=call,
        quiet=QUIET_PERIOD_S,
        **resources,
    )


def _write_calls(file: Path, calls: Sequence[PackedCall], folder: str) -> None:
    known: set[str] = set()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(welcome(folder=folder))
        for number, one in enumerate(calls):
            if one.function.key not in known:
                known.add(one.function.key)
                out.write(one.function.frame())
            out.write(one.frame(number))
        out.flush()
        os.fsync(out.fileno())


def count_calls(folder: Path) -> int:
    """Return how many calls were submitted with a job. Raises OSError if it has no calls file."""
    with (folder / "calls").open("rb") as file:
        return sum(1 for header, _ in worker.frames(file) if header["type"] == "call")


class FolderJob:
    """Follower of one job, which settles the futures of its calls."""

    def __init__(self, allocation: Allocation, job: FunctionJob) -> None:
        self._allocation, self._job = allocation, job
        self._unsettled: dict[int, Future[Any]] = dict(enumerate(job.futures))
        self._offset = 0
        self._mismatch: PythonMismatch | None = None
        self._reading = asyncio.Lock()
        self._signalled = False
        self._failure: JobFailed | None = None
        self._unreadable: BatchError | None = None
        self._tasks = BackgroundTasks()
        self._done = asyncio.Event()
        allocation.on_status = self._status_changed

    async def follow(self) -> None:
        """Follow the job until the future of each of its calls is done."""
        waiting = asyncio.ensure_future(self._follow_agents())
        done = asyncio.ensure_future(self._done.wait())
        await asyncio.wait((waiting, done), return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, done, *self._tasks):
            task.cancel()
        await asyncio.gather(waiting, done, *self._tasks, return_exceptions=True)
        await self._allocation.close(remove=False)

    def _status_changed(self, status: JobInfo) -> None:
        self._job.status = status
        if status.state in (JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING):
            self._mark_running()

    def _mark_running(self) -> None:
        self._job.started = True
        for number, future in list(self._unsettled.items()):
            if not future.running() and not future.set_running_or_notify_cancel():
                del self._unsettled[number]

    async def _follow_agents(self) -> None:
        try:
            while True:
                self._agent_started(await self._allocation.next_agent())
        except BatchError as error:
            # An agent that never had a connection is known only now, by what it has written down.
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._take_results()
            await self._give_up(error)

    def _agent_started(self, agent: AgentHandle) -> None:
        """Follow the worker of an agent; each start of the job brings another agent."""
        self._mark_running()
        self._signalled, self._failure = False, None
        process = agent.process(_PROCESS_ID)
        process.on_output = lambda *_: self._start(self._take_results())
        agent.on_signal = self._on_signal
        self._start(self._wait_for_worker(process))
        self._start(self._take_results())

    def _on_signal(self, number: int) -> None:
        log.info("Job %s got signal %d", self._job.job_id, number)
        self._signalled = True
        self._allocation.suspect()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.start(work)

    async def _wait_for_worker(self, process: RemoteProcess) -> None:
        """Wait for the worker's exit; fail the calls unless the end of the job is to explain it."""
        with contextlib.suppress(BatchError):
            code = await process.wait()
            await self._take_results()
            name = f"{self._job.job_id} on {process.agent.host}"
            error = f": {process.error}" if process.error else ""
            self._failure = worker_failure(name, code, self._job.log_tail() + error)
            if not self._signalled and code not in (*EXTERNAL_SIGNALS, -signal.SIGKILL):
                await self._give_up(self._failure)

    async def _take_results(self) -> None:
        # In a thread: a result may be large, and a future's callback may submit another job.
        async with self._reading:
            await _in_thread(self._try_to_read_results)
        if not self._unsettled:
            self._done.set()

    def _try_to_read_results(self) -> None:
        """Read what is new; keep why that is not possible, which may be so for a moment only."""
        try:
            self._read_results()
        except Exception as error:  # noqa: BLE001  (whatever a call has written there)
            self._unreadable = BatchError(
                f"the results of job {self._job.job_id} cannot be read: {error!r}"
            )
            self._unreadable.__cause__ = error
        else:
            self._unreadable = None

    def _read_results(self) -> None:
        with (
            contextlib.suppress(FileNotFoundError),
            open_plain(self._job.folder / "results") as file,
        ):
            file.seek(self._offset)
            for header, data in worker.frames(file):
                if header["type"] == "hello":
                    self._mismatch = python_mismatch(header["python"])
                elif header["id"] in self._unsettled:
                    self._settle(self._unsettled[header["id"]], header, data)
                    del self._unsettled[header["id"]]
                self._offset = file.tell()

    def _settle(self, future: Future[Any], header: worker.Header, data: bytes) -> None:
        value: object
        error: BaseException | None
        if header["form"] == "crash":
            # The job has gone on with the calls behind this one.
            place = f"{self._job.job_id} on {header['name']}"
            value, error = None, worker_failure(place, header["code"], self._job.log_tail())
        else:
            value, error = read_result(header, data)
        if not future.running() and not future.set_running_or_notify_cancel():
            return
        if error is not None:
            future.set_exception(self._explained(error) if header.get("by value") else error)
        else:
            future.set_result(value)

    def _explained(self, error: BaseException) -> BaseException:
        """Return the error, or PythonMismatch caused by it if the job runs another Python."""
        if self._mismatch is None:
            return error
        other = PythonMismatch(str(self._mismatch))
        other.__cause__ = error
        return other

    async def _give_up(self, error: BatchError) -> None:
        """Fail all calls without a result."""
        unsettled, self._unsettled = self._unsettled, {}
        why = self._unreadable or self._failure
        if why is not None and type(error) in (BatchError, JobFailed):
            error = why
        elif isinstance(error, JobFailed):
            error = type(error)(error.status, self._job.log_tail())
        for future in unsettled.values():
            if future.running() or future.set_running_or_notify_cancel():
                await _in_thread(future.set_exception, error)
        self._done.set()


async def _in_thread(act: Callable[..., None], *arguments: object) -> None:
    try:
        work = asyncio.get_running_loop().run_in_executor(None, act, *arguments)
    except RuntimeError:
        return  # the program is exiting, and nobody waits for the job any more
    await work
