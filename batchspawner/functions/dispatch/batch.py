"""Dispatchers that submit a job for each call or bundle, and `attach`, which follows one again."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from ...allocation.allocation import Allocation, client_for
from ...allocation.call_folder import CallFolder
from ...allocation.job_records import record_of
from ...client.batch_client import BatchClient
from ...client.blocking_client import run
from ...client.job_scripts import SCHEDULER_VARIABLE
from ...concurrency import in_background
from ...errors import BatchError
from ...schedulers.slurm import Slurm
from ..calls import DispatchOptions
from ..function_job import FunctionJob
from ..futures import JobFuture, gathered, give_up
from ..options import job_files, job_resources
from ..refusals import explain
from ..session import before_exit, shared_listener
from ..submit_limits import count_submit
from .base import Dispatcher
from .dependencies import all_after, awaited, native, still_open, taken_dependencies
from .exit_report import show_at_exit
from .folder_job import FolderJob, JobSettings, count_calls, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..calls import Dependency, FunctionCall
    from ..protocol import payload

log = logging.getLogger(__name__)


class BatchDispatcher(Dispatcher):
    """Dispatcher for a scheduler: by default this machine's, or the embedded queue.

    Once they are submitted, the jobs no longer need this process. `python` runs them; without
    `network` they send their results through files only.
    """

    def __init__(
        self, scheduler: str = "auto", *, python: str = sys.executable, network: bool = True
    ) -> None:
        self._client = client_for(scheduler)
        # A user without a scheduler knows of no queue, and would look nowhere for output.
        alone = self._client.scheduler.this_machine and not os.environ.get(SCHEDULER_VARIABLE)
        self._shows_output = alone and scheduler == "auto"
        self._python, self._network = python, network
        self._unfinished: list[tuple[str, JobFuture]] = []
        self._joined: list[JobFuture] = []

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        try:
            self._dispatch(calls, futures, options)
        except BaseException as error:
            explain(error)
            # Otherwise whatever waits for them, such as a job after a join, would never start.
            give_up(futures, error if isinstance(error, Exception) else None)
            for future in futures:
                future.notice()
            raise

    def _dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        # Raises at once if an option is wrong, and not only after the wait for dependencies.
        resources, depends = taken_dependencies(options.resources)
        name = str(resources.pop("job_name", None) or _name(calls))
        options = DispatchOptions(resources, (*options.after, *depends))
        job_resources(self._client.scheduler, options.resources)
        job_files(options.resources)
        packed = [one.packed for one in calls]
        count_submit()
        job = FunctionJob(self._client, Path(), futures=futures)
        for future in futures:
            future.job = job
        if self._shows_output:
            show_at_exit(job)
        after = all_after(self._joined, options.after)
        self._unfinished = [one for one in self._unfinished if not one[1].done()]
        earlier = [future for known, future in self._unfinished if known == name]
        self._unfinished += [(name, future) for future in futures]
        lines, later = self._dependencies(after)
        if later:
            submit_in_thread(self._submit_later, job, packed, options, name, after, earlier)
        else:
            self._submit(job, packed, options, name, lines)

    def join(self) -> None:
        self._joined = [future for _, future in self._unfinished if not future.done()]

    def _dependencies(self, after: tuple[Dependency, ...]) -> tuple[str, bool]:
        """Return script lines for dependencies, and whether this process has to wait instead."""
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
        settings = JobSettings(name, self._python, self._network, job_files(options.resources))
        run(_start(job, calls, resources, settings))

    def _submit_later(
        self,
        job: FunctionJob,
        calls: list[payload.PackedCall],
        options: DispatchOptions,
        name: str,
        after: tuple[Dependency, ...],
        earlier: list[JobFuture],
    ) -> None:
        """Submit a job after waiting for its dependencies, which its scheduler cannot do."""
        try:
            problem = awaited(self._client, after, earlier)
            if problem is not None or all(one.cancelled() for one in job.futures):
                give_up(job.futures, problem)
            else:
                self._submit(job, calls, options, name)
        except Exception as error:  # noqa: BLE001  (the futures report it)
            explain(error)
            give_up(
                job.futures, error if isinstance(error, BatchError) else BatchError(repr(error))
            )


class SlurmDispatcher(BatchDispatcher):
    """Dispatcher for Slurm. Raises RuntimeError on a machine without Slurm."""

    def __init__(self) -> None:
        if not which("sbatch"):
            raise RuntimeError("Slurm could not be found: there is no sbatch on the PATH")
        super().__init__(Slurm.name)


def attach(job_id: int | str) -> JobFuture:
    """Return the future of a job that another process of this user has submitted.

    Its value is that of the call, or a list of values for a bundle. Raises LookupError for a job
    that has no record here.
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
    in_background(FolderJob(Allocation(job.client, call, job.job_id), job).follow())


async def _start(
    job: FunctionJob,
    calls: list[payload.PackedCall],
    resources: dict[str, object],
    settings: JobSettings,
) -> None:
    allocation = await submit(job.client, calls, resources, settings)
    log.info("Submitted job %s: %s", allocation.job_id, settings.name)
    job.folder, job.job_id = allocation.call.folder, allocation.job_id
    in_background(FolderJob(allocation, job).follow())


def _name(calls: Sequence[FunctionCall]) -> str:
    name = calls[0].name
    return name if len(calls) == 1 else f"{name}-and-{len(calls) - 1}-more"


_submitting: list[threading.Thread] = []


def submit_in_thread(act: Callable[..., None], *arguments: object) -> None:
    """Call a function in a thread that the program waits for before it exits."""
    _submitting[:] = [one for one in _submitting if one.is_alive()]
    _submitting.append(threading.Thread(target=act, args=arguments, daemon=True))
    _submitting[-1].start()


def _join_threads() -> None:
    for one in _submitting:
        one.join()


before_exit(_join_threads)
