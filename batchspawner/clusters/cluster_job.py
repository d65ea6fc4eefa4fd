"""One job of a cluster: its submission, its status, its end.

Everything here runs in the library's own thread (`blocking_client.start`), so that a job is also
watched while its caller runs no event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..allocation.job_environment import exports, own_environment
from ..allocation.job_origin import Origin
from ..allocation.job_records import JobRecord
from ..client.batch_client import BatchClient
from ..client.job_scripts import find_scheduler, job_request
from ..concurrency import within
from ..errors import BatchError, SchedulerError, failure_of
from ..jobs import JobState
from .folders import ClusterRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..jobs import JobInfo
    from ..schedulers.base import Scheduler
    from .folders import JobFolder
    from .program import ClusterProgram

_START_POLL_INTERVAL_S, _POLL_INTERVAL_S, _CANCEL_POLL_INTERVAL_S = 2.0, 10.0, 0.5
"""How often the scheduler is asked about a job: while it starts, later, and after a cancel."""

_START_PHASE_S = 60.0
"""How long a job counts as starting once it runs: most failures show in this time."""

_ELEMENTS_POLL_INTERVAL_S = 0.5
"""How often we look whether the elements of an array have started."""

QUERY_TIMEOUT_S = 30.0
"""How long a scheduler may take to report the status of a job."""

_CANCEL_TIMEOUT_S = 30.0
"""How long we wait for the end of a cancelled job."""

_IGNORE_SIGNALS = "trap : INT USR1 USR2"
"""Command that keeps signals for the engines from ending the job's shell."""

SHELL = "/bin/bash"
PROGRAM = "program.sh"
ENVIRONMENT = "environment"

_PREFIX_OF_OTHERS = "IPP_"
"""Of variables that belong to the cluster in which we run, if we are an engine of one."""


class ClusterJob:
    """A submitted job, or an array of jobs."""

    def __init__(
        self, client: BatchClient, job_id: str, folder: JobFolder | None, elements: int = 1
    ) -> None:
        self.client = client
        self.job_id = job_id
        self.folder = folder
        self._elements = elements
        self._watch = client.watch(job_id, _START_POLL_INTERVAL_S)
        self._callbacks: list[Callable[[JobInfo], None]] = []
        self._task = asyncio.ensure_future(self._follow())

    @classmethod
    async def submit(
        cls,
        program: ClusterProgram,
        folder: JobFolder,
        *,
        scheduler: str | Scheduler = "auto",
        name: str,
        n: int = 0,
        profiles: str = "",
        variables: Mapping[str, object] | None = None,
        work_dir: str = ".",
        resources: Mapping[str, Any],
    ) -> ClusterJob:
        """Submit a program. Raises what `job_request` and `BatchClient.submit` raise.

        It runs in `work_dir`, by default our working directory, with our environment; if the node
        has no such folder, where the scheduler starts it. `n` and `profiles` (the folder of the
        job's profile) are for a whole cluster.
        """
        client = BatchClient(find_scheduler(scheduler))
        path = folder.write(PROGRAM, program.render(folder))
        exported = folder.write(ENVIRONMENT, _own_environment(Path(work_dir).absolute()))
        prologue = f"{_IGNORE_SIGNALS}\n{resources.get('prologue', '')}".strip()
        request = job_request(
            client.scheduler,
            f"{SHELL} {path}",
            front_end="clusters",
            name=name,
            log=str(folder.log),
            variables={**(variables or {}), "environment_file": str(exported)},
            elements=program.elements,
            **{**resources, "prologue": prologue},
        )
        record = ClusterRecord(folder, client.scheduler.name, request.tag, n, profiles)
        record.write()
        job_id = await client.submit(request)
        try:
            record.submitted(job_id)
        except BatchError:
            # Nobody would find the job again.
            with contextlib.suppress(SchedulerError):
                await client.cancel(job_id)
            raise
        JobRecord(
            folder.path, client.scheduler.name, job_id, "clusters", name, origin=Origin.here()
        ).write()
        return cls(client, job_id, folder, program.elements)

    @property
    def status(self) -> JobInfo | None:
        """The last known status of the job, or None before there is one."""
        return self._watch.status

    def when_ended(self, call: Callable[[JobInfo], None]) -> None:
        """Call a function, in the library's thread, when the job has ended."""
        self._callbacks.append(call)

    async def known(self) -> JobInfo | None:
        """Return the next status of the job, or None if its scheduler does not answer in time."""
        with contextlib.suppress(asyncio.TimeoutError):
            return await within(QUERY_TIMEOUT_S, self._watch.change())
        return None

    async def running(self) -> JobInfo:
        """Wait, without a limit, until the job runs. Raises JobFailed if it ends instead.

        An array runs when all its elements have started.
        """
        status = await self._watch.until(_has_started)
        while not status.is_final and self._is_partly_waiting():
            with contextlib.suppress(asyncio.TimeoutError):
                status = await within(_ELEMENTS_POLL_INTERVAL_S, self.ended())
        if status.is_final:
            raise self.failure(status)
        return status

    def _is_partly_waiting(self) -> bool:
        """Return whether elements of an array have not started: each that has writes a log."""
        if self._elements == 1 or self.folder is None:
            return False
        return len(self.folder.logs_of_elements()) < self._elements

    def failure(self, status: JobInfo) -> BatchError:
        """Return the error that describes how the job ended, with the end of its log."""
        tail = self.folder.log_tail() if self.folder else ""
        error = failure_of(status, tail)
        return error or BatchError(f"job {self.job_id} ended by itself\n{tail}".strip())

    def describe(self, *, with_log: bool = True) -> str:
        """Return the status of the job; `with_log` adds the last line of the log of a failure."""
        status = self.status
        text = status.describe() if status else "unknown"
        if not with_log or status is None or not status.is_final or status.succeeded:
            return text
        line = self.folder.log_tail(1) if self.folder else ""
        return f"{text}: {line}" if line else text

    async def ended(self) -> JobInfo:
        """Wait until the job has ended."""
        return await self._watch.until(lambda one: one.is_final)

    async def signal(self, number: int) -> None:
        """Send a signal to the job's processes. Raises SchedulerError."""
        await self.client.signal(self.job_id, number)

    async def cancel(self) -> JobInfo | None:
        """Cancel the job, wait a limited time for its end, and return its status."""
        status = self.status
        if status is None or not status.is_final:
            await self.client.cancel(self.job_id)
        self._watch.interval = _CANCEL_POLL_INTERVAL_S
        self._watch.hurry()
        with contextlib.suppress(asyncio.TimeoutError):
            status = await within(_CANCEL_TIMEOUT_S, self.ended())
        return status

    async def close(self) -> None:
        """Stop following the job."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._watch.close()

    async def _follow(self) -> None:
        status = await self._watch.until(_has_started)
        if not status.is_final:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_START_PHASE_S, self.ended())
            self._watch.interval = _POLL_INTERVAL_S
            status = await self.ended()
        for call in self._callbacks:
            call(status)


def _own_environment(work_dir: Path) -> str:
    """Return shell commands that make the job's environment and folder those of this process."""
    variables = {
        name: value
        for name, value in own_environment().items()
        if not name.startswith(_PREFIX_OF_OTHERS)
    }
    enter = f'cd {shlex.quote(str(work_dir))} || echo "The job starts in $PWD." >&2'
    return f"{enter}\n{exports(variables, '')}"


def _has_started(status: JobInfo) -> bool:
    return status.is_final or not (status.state.is_waiting or status.state is JobState.UNKNOWN)
