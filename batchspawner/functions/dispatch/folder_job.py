"""See a job through that does the calls in its folder, also when this process has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

from ...allocation.agent_handle import start_order
from ...allocation.allocation import Allocation
from ...errors import BatchError, JobFailed
from ...jobs import JobState
from ..executor.worker_providers import FROM_OUTSIDE, death
from ..protocol import worker
from ..protocol.payload import welcome
from ..protocol.results import PythonMismatch, mismatch, read_result
from ..session import QUIET, new_folder_call, shared_listener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ...allocation.agent_handle import AgentHandle, RemoteProcess
    from ...client.batch_client import BatchClient
    from ...jobs import JobInfo
    from ..futures import JobFuture
    from ..job import FunctionJob
    from ..protocol.payload import PackedCall

log = logging.getLogger(__name__)

_PROCESS = "calls"


async def submit(
    client: BatchClient,
    calls: Sequence[PackedCall],
    resources: Mapping[str, Any],
    *,
    name: str,
    python: str,
    network: bool = True,
) -> Allocation:
    """Submit a job for calls, which needs nothing of this process any more.

    Raises SubmitError, SchedulerUnavailable, OptionsError or TemplateError.
    """
    call = new_folder_call(resources.get("runtime"), python, lasting=True)
    _write_calls(call.folder / "calls", calls)
    argv = [python, str(call.folder / "worker.py"), str(call.folder)]
    call.order(start_order(argv, _PROCESS))
    call.order({"type": "finish", "tell_failure": True})
    listener = await shared_listener() if network else None
    return await Allocation.submit(
        client, listener, front_end="functions", name=name, call=call, quiet=QUIET, **resources
    )


def _write_calls(file: Path, calls: Sequence[PackedCall]) -> None:
    known: set[str] = set()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(welcome())
        for number, one in enumerate(calls):
            if one.function.key not in known:
                known.add(one.function.key)
                out.write(one.function.frame())
            out.write(one.frame(number))
        out.flush()
        os.fsync(out.fileno())


def count_calls(folder: Path) -> int:
    """Return how many calls were submitted with a job. Raises OSError where it had none."""
    with (folder / "calls").open("rb") as file:
        return sum(1 for header, _ in worker.frames(file) if header["type"] == "call")


class FolderJob:
    """Give the futures of a job what comes of its calls."""

    def __init__(self, allocation: Allocation, job: FunctionJob) -> None:
        self._allocation, self._job = allocation, job
        self._left: dict[int, JobFuture] = dict(enumerate(job.futures))
        self._place = 0
        self._mismatch: PythonMismatch | None = None
        self._reading = asyncio.Lock()
        self._warned = False
        self._death: JobFailed | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._done = asyncio.Event()
        allocation.on_status = self._told

    async def follow(self) -> None:
        """Follow the job until each of its calls has come to an end."""
        waiting = asyncio.ensure_future(self._meet_agents())
        done = asyncio.ensure_future(self._done.wait())
        await asyncio.wait((waiting, done), return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, done, *self._tasks):
            task.cancel()
        await asyncio.gather(waiting, done, *self._tasks, return_exceptions=True)
        await self._allocation.close(remove=False)

    def _told(self, status: JobInfo) -> None:
        self._job.status = status
        if status.state in (JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING):
            self._begin()

    def _begin(self) -> None:
        self._job.started = True
        for number, future in list(self._left.items()):
            if not future.running() and not future.set_running_or_notify_cancel():
                del self._left[number]

    async def _meet_agents(self) -> None:
        try:
            while True:
                self._attend(await self._allocation.next_agent())
        except BatchError as error:
            await self._take_results()
            await self._give_up(error)

    def _attend(self, agent: AgentHandle) -> None:
        """Listen to an agent; each start of the job has one of its own."""
        self._begin()
        self._warned, self._death = False, None
        process = agent.process(_PROCESS)
        process.on_output = lambda *_: self._spawn(self._take_results())
        agent.on_signal = self._signalled
        self._spawn(self._see_off(process))
        self._spawn(self._take_results())

    def _signalled(self, number: int) -> None:
        log.info("Job %s got signal %d", self._job.job_id, number)
        self._warned = True
        self._allocation.suspect()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_off(self, process: RemoteProcess) -> None:
        """Find out what the end of the worker means; of its job the scheduler tells."""
        with contextlib.suppress(BatchError):
            code = await process.wait()
            await self._take_results()
            name = f"{self._job.job_id} on {process.agent.host}"
            error = f": {process.error}" if process.error else ""
            self._death = death(name, code, self._job.log_tail() + error)
            if not self._warned and code not in (*FROM_OUTSIDE, -signal.SIGKILL):
                await self._give_up(self._death)

    async def _take_results(self) -> None:
        # In a thread: a result may be large, and a callback of a future may submit another job.
        async with self._reading:
            await _in_thread(self._read_results)
        if not self._left:
            self._done.set()

    def _read_results(self) -> None:
        with contextlib.suppress(FileNotFoundError), (self._job.folder / "results").open("rb") as f:
            f.seek(self._place)
            for header, data in worker.frames(f):
                self._place = f.tell()
                if header["type"] == "hello":
                    self._mismatch = mismatch(header["python"])
                elif header["id"] in self._left:
                    self._settle(self._left.pop(header["id"]), header, data)

    def _settle(self, future: JobFuture, header: Mapping[str, Any], data: bytes) -> None:
        value, error = read_result(header, data)
        if not future.running() and not future.set_running_or_notify_cancel():
            return
        if error is not None:
            future.set_exception(self._explained(error) if header.get("by value") else error)
        else:
            future.set_result(value)

    def _explained(self, error: BaseException) -> BaseException:
        """Blame another Python, where the job has one, and not what comes of it."""
        if self._mismatch is None:
            return error
        other = PythonMismatch(str(self._mismatch))
        other.__cause__ = error
        return other

    async def _give_up(self, error: BatchError) -> None:
        """Tell all calls without a result why there is none."""
        left, self._left = self._left, {}
        if self._death is not None and type(error) in (BatchError, JobFailed):
            error = self._death
        elif isinstance(error, JobFailed):
            error = type(error)(error.status, self._job.log_tail())
        for future in left.values():
            if future.running() or future.set_running_or_notify_cancel():
                await _in_thread(future.set_exception, error)
        self._done.set()


async def _in_thread(act: Callable[..., None], *arguments: object) -> None:
    try:
        work = asyncio.get_running_loop().run_in_executor(None, act, *arguments)
    except RuntimeError:
        return  # the program is about to end, and nobody waits for the job any more
    await work
