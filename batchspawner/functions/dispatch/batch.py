"""Submit a job for each call, or for each bundle of them."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from ...allocation.allocation import Allocation, client_for
from ...allocation.call_folder import CallFolder
from ...allocation.job_records import record_of
from ...client.batch_client import BatchClient
from ...client.blocking_client import background_loop, run
from ...errors import BatchError
from ...schedulers.slurm import Slurm
from ..exit_hooks import before_exit
from ..futures import JobFuture, gathered, give_up
from ..job import FunctionJob
from ..options import job_resources
from ..session import shared_listener
from ..submit_limits import count_submit
from .base import Dispatcher
from .dependencies import all_after, awaited, native, still_open
from .folder_job import FolderJob, count_calls, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..function import Dependency, DispatchOptions, FunctionCall
    from ..protocol import payload

log = logging.getLogger(__name__)


class BatchDispatcher(Dispatcher):
    """Submit jobs to a scheduler: this machine's, or the embedded queue where there is none.

    The jobs need this process no more once they are submitted. `python` runs them; without
    `network` they speak through files only.
    """

    def __init__(
        self, scheduler: str = "auto", *, python: str = sys.executable, network: bool = True
    ) -> None:
        self._client = client_for(scheduler)
        self._python, self._network = python, network
        self._unfinished: list[tuple[str, JobFuture]] = []
        self._joined: list[JobFuture] = []

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        try:
            self._dispatch(calls, futures, options)
        except BaseException as error:
            # Nothing that waits for them, as a job after a join, must wait for ever.
            give_up(futures, error if isinstance(error, Exception) else None)
            raise

    def _dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        job_resources(self._client.scheduler, options.resources)  # what is wrong is said at once
        packed = [one.packed for one in calls]
        count_submit()
        job = FunctionJob(self._client, Path(), futures=futures)
        for future in futures:
            future.job = job
        name = _name(calls)
        after = all_after(self._joined, options.after)
        self._unfinished = [one for one in self._unfinished if not one[1].done()]
        earlier = [future for known, future in self._unfinished if known == name]
        self._unfinished += [(name, future) for future in futures]
        lines, later = self._dependencies(after)
        if later:
            _in_thread(self._submit_later, job, packed, options, name, after, earlier)
        else:
            self._submit(job, packed, options, name, lines)

    def join(self) -> None:
        self._joined = [future for _, future in self._unfinished if not future.done()]

    def _dependencies(self, after: tuple[Dependency, ...]) -> tuple[str, bool]:
        """Return the scheduler's lines for dependencies, and whether we have to wait ourselves."""
        after = still_open(after)
        lines = native(self._client.scheduler, after) if after else ""
        return lines or "", lines is None

    def _submit(
        self,
        job: FunctionJob,
        calls: list[payload.PackedCall],
        options: DispatchOptions,
        name: str,
        lines: str = "",
    ) -> None:
        resources = job_resources(self._client.scheduler, options.resources)
        if lines:
            resources["options"] = f"{resources.get('options', '')}\n{lines}".strip()
        run(_start(job, calls, resources, name=name, python=self._python, network=self._network))

    def _submit_later(
        self,
        job: FunctionJob,
        calls: list[payload.PackedCall],
        options: DispatchOptions,
        name: str,
        after: tuple[Dependency, ...],
        earlier: list[JobFuture],
    ) -> None:
        """Wait for what a job depends on, where its scheduler cannot, and submit it."""
        try:
            problem = awaited(self._client, after, earlier)
            if problem is not None or all(one.cancelled() for one in job.futures):
                give_up(job.futures, problem)
            else:
                self._submit(job, calls, options, name)
        except Exception as error:  # noqa: BLE001  (whoever waits for the calls hears of it)
            give_up(
                job.futures, error if isinstance(error, BatchError) else BatchError(repr(error))
            )


class SlurmDispatcher(BatchDispatcher):
    """Submit jobs to Slurm. Raises RuntimeError on a machine that has none."""

    def __init__(self) -> None:
        if not which("sbatch"):
            raise RuntimeError("Slurm could not be found: there is no sbatch on the PATH")
        super().__init__(Slurm.name)


def attach(job_id: int | str) -> JobFuture:
    """Return the future of a job that another process of this user has submitted.

    Its value is the call's, or the list of them for a bundle. Raises LookupError for a job that
    is not known here.
    """
    record = record_of(job_id)
    try:
        count = count_calls(record.folder)
    except OSError:
        raise LookupError(
            f"job {job_id} has no calls of its own: it ends with its program"
        ) from None
    futures = [JobFuture() for _ in range(count)]
    job = FunctionJob(BatchClient(record.scheduler), record.folder, record.job_id, futures)
    for future in futures:
        future.job = job
    run(_follow_again(job))
    return futures[0] if count == 1 else gathered(futures)


async def _follow_again(job: FunctionJob) -> None:
    call = CallFolder.load(job.folder)
    listener = await shared_listener()
    if listener is not None:
        listener.expect(call)
    _keep(FolderJob(Allocation(job.client, call, job.job_id), job))


async def _start(
    job: FunctionJob,
    calls: list[payload.PackedCall],
    resources: dict[str, object],
    *,
    name: str,
    python: str,
    network: bool,
) -> None:
    allocation = await submit(
        job.client, calls, resources, name=name, python=python, network=network
    )
    log.info("Submitted job %s: %s", allocation.job_id, name)
    job.folder, job.job_id = allocation.call.folder, allocation.job_id
    _keep(FolderJob(allocation, job))


_followed: set[asyncio.Future[None]] = set()


def _keep(job: FolderJob) -> None:
    task = asyncio.ensure_future(job.follow(), loop=background_loop())
    _followed.add(task)
    task.add_done_callback(_followed.discard)


def _name(calls: Sequence[FunctionCall]) -> str:
    name = calls[0].function.__qualname__
    return name if len(calls) == 1 else f"{name}-and-{len(calls) - 1}-more"


_waiting: list[threading.Thread] = []


def _in_thread(act: Callable[..., None], *arguments: object) -> None:
    """Do something in a thread that the program waits for at its end."""
    _waiting[:] = [one for one in _waiting if one.is_alive()]
    _waiting.append(threading.Thread(target=act, args=arguments, daemon=True))
    _waiting[-1].start()


def _finish() -> None:
    for one in _waiting:
        one.join()


before_exit(_finish)
