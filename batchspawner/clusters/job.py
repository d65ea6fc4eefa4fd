"""Run one job of a cluster: submit its program, know how it fares, end it, clean up after it.

Everything here runs in the library's own thread (`blocking.start`), so that a job is watched
also while its caller has no event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ..client.batch_client import BatchClient
from ..client.job_scripts import find_scheduler, job_request
from ..concurrency import within
from ..errors import BatchError, failure_of
from ..jobs import JobState
from .folders import ClusterRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..jobs import JobInfo
    from ..schedulers.base import Scheduler
    from .folders import JobFolder
    from .program import ClusterProgram

_STARTING, _RUNNING = 2.0, 10.0
"""Seconds between two looks at a job, while it starts and later."""

_YOUNG = 60.0
"""Seconds of a job's life in which what cannot work mostly shows."""

_LOOK = 0.5
"""Seconds between two looks whether the elements of an array have started."""

_END = 30.0
"""Seconds that a cancelled job may take to end before nobody waits any more."""

_LIVE_ON = "trap : INT USR1 USR2"
"""What keeps a signal that is for the engines from ending the job's shell."""

SHELL = "/bin/bash"
PROGRAM = "program.sh"


class ClusterJob:
    """Hold a submitted job, or an array of jobs, and follow it."""

    def __init__(
        self, client: BatchClient, job_id: str, folder: JobFolder | None, elements: int = 1
    ) -> None:
        self.client = client
        self.job_id = job_id
        self.folder = folder
        self._elements = elements
        self._watch = client.watch(job_id, _STARTING)
        self._told: list[Callable[[JobInfo], None]] = []
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
        resources: Mapping[str, Any],
    ) -> ClusterJob:
        """Hand the program over. Raises what `job_request` and `BatchClient.submit` raise.

        `n` and `profiles` (the folder of the job's profile) are for a whole cluster.
        """
        client = BatchClient(find_scheduler(scheduler))
        path = folder.write(PROGRAM, program.render(folder))
        wanted = {**resources, "prologue": f"{_LIVE_ON}\n{resources.get('prologue', '')}".strip()}
        request = job_request(
            client.scheduler,
            f"{SHELL} {path}",
            front_end="clusters",
            name=name,
            log=str(folder.log),
            variables=variables,
            elements=program.elements,
            **wanted,
        )
        record = ClusterRecord(folder, client.scheduler.name, request.tag, n, profiles)
        record.keep()
        job_id = await client.submit(request)
        record.submitted(job_id)
        return cls(client, job_id, folder, program.elements)

    @property
    def status(self) -> JobInfo | None:
        """What the scheduler last said, or None before it has said anything."""
        return self._watch.status

    def when_ended(self, call: Callable[[JobInfo], None]) -> None:
        """Have a function called, in the library's thread, when the job has ended."""
        self._told.append(call)

    async def known(self) -> JobInfo:
        """Wait until the scheduler has said something about the job."""
        return await self._watch.change()

    async def running(self) -> JobInfo:
        """Wait, as long as it takes, until the job runs. Raises a JobFailed where it ended.

        An array runs when all its elements have started.
        """
        status = await self._watch.until(_has_started)
        while not status.is_final and self._is_partly_waiting():
            with contextlib.suppress(asyncio.TimeoutError):
                status = await within(_LOOK, self.ended())
        if status.is_final:
            raise self.failure(status)
        return status

    def _is_partly_waiting(self) -> bool:
        """Whether elements of an array have not started: each that has keeps a log."""
        if self._elements == 1 or self.folder is None:
            return False
        return len(self.folder.logs_of_elements()) < self._elements

    def failure(self, status: JobInfo) -> BatchError:
        """Return the error that says how the job ended, with the end of its log."""
        tail = self.folder.log_tail() if self.folder else ""
        error = failure_of(status, tail)
        return error or BatchError(f"job {self.job_id} ended by itself\n{tail}".strip())

    def last_words(self, *, said: bool = True) -> str:
        """Return how the job fares; with `said`, the last line that it printed where it failed."""
        status = self.status
        words = status.describe() if status else "unknown"
        if not said or status is None or not status.is_final or status.succeeded:
            return words
        line = self.folder.log_tail(1) if self.folder else ""
        return f"{words}: {line}" if line else words

    async def ended(self) -> JobInfo:
        """Wait until the job has ended."""
        return await self._watch.until(lambda one: one.is_final)

    async def signal(self, number: int) -> None:
        """Send a signal to the job's processes. Raises SchedulerError."""
        await self.client.signal(self.job_id, number)

    async def cancel(self) -> JobInfo | None:
        """End the job and wait, a bounded time, until it has ended."""
        status = self.status
        if status is None or not status.is_final:
            await self.client.cancel(self.job_id)
        self._watch.interval = 0.5
        self._watch.hurry()
        with contextlib.suppress(asyncio.TimeoutError):
            status = await within(_END, self.ended())
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
                await within(_YOUNG, self.ended())
            self._watch.interval = _RUNNING
            status = await self.ended()
        for call in self._told:
            call(status)


def _has_started(status: JobInfo) -> bool:
    return status.is_final or not (status.state.is_waiting or status.state is JobState.UNKNOWN)
