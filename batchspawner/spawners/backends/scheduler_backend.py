"""The backend of the scheduler layer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...concurrency import within
from ...errors import BatchError
from ...jobs import JobState
from ..failures.spawn_failure import failure_of_job
from ..hub import metrics
from ..progress import log as progress_log
from ..progress.messages import describe_start
from ..progress.past_ends import note_end
from ..progress.queue_estimate import QueueEstimator
from ..server_job import JobStatus
from .backend import Backend, fixed_port
from .orphans import look_for_orphans
from .submission import Submission
from .watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prometheus_client import Histogram

    from ...client.batch_client import BatchClient
    from ...client.watch import Watch
    from ...jobs import JobInfo
    from ..progress.messages import StartDescription
    from .backend import BackendSpawner

_FIRST_ANSWER_TIMEOUT_S = 15.0
"""Time that `poll` waits for the first listing after a restart of the Hub."""

_END_TIMEOUT_S = 10.0


class _JobRequeued(Exception):
    """A job that ran waits in the queue again."""


class SchedulerBackend(Backend):
    """Backend that submits, watches and cancels one server's job through the scheduler layer."""

    def __init__(self, spawner: BackendSpawner, client: BatchClient) -> None:
        super().__init__(spawner)
        self.client = client
        self._watched: Watch | None = None
        self._watchdog: Watchdog | None = None
        self._estimator = QueueEstimator(spawner.job, client)
        self._submission = Submission(spawner, client)
        self._noted: JobInfo | None = None
        self._has_run = False
        self._probed_report: float | None = None

    def close(self) -> None:
        """End the watch of the job."""
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None
        if self._watched is not None:
            self._watched.close()
            self._watched = None

    @property
    def status(self) -> JobInfo | None:
        """Last status of the job that the scheduler reported."""
        return self._watched.status if self._watched else None

    async def submit(self) -> None:
        await self._submission.make()

    async def query(self) -> JobStatus:
        status = await self._watch().change()
        self._note(status)
        if status.is_final:
            return JobStatus.NOTFOUND
        if status.state is JobState.UNKNOWN:
            return JobStatus.UNKNOWN
        return JobStatus.PENDING if status.state.is_waiting else JobStatus.RUNNING

    async def cancel(self) -> None:
        await self.client.cancel(self.spawner.job.id)

    def cancels(self) -> list[Callable[[], Awaitable[None]]]:
        return [partial(self.client.cancel, self.spawner.job.id)]

    async def poll(self) -> int | None:
        spawner = self.spawner
        if not spawner.job.id and not await self._submission.find_again():
            return 0
        if not spawner.job.id:
            return None
        if self._watched is None:
            # The Hub was started again, perhaps with another database.
            look_for_orphans(self.client, spawner)
        watch = self._watch(spawner.poll_interval)
        status = watch.status
        if status is None:
            try:
                status = await within(_FIRST_ANSWER_TIMEOUT_S, watch.change())
            except asyncio.TimeoutError:
                return None
        # Most of ten thousand servers have not changed.
        if status is not self._noted:
            self._note(status)
        if self._watchdog is not None and self._watchdog.lost:
            return 1
        if not status.is_final:
            return None
        spawner.log.warning(
            "%s: job %s has ended: %s", spawner.log_name, spawner.job.id, status.describe()
        )
        note_end(spawner, status)
        return 1 if status.exit_code is None else status.exit_code

    async def until_serving(self) -> None:
        """Wait until the job's server has reported, and answers where its job runs."""
        spawner, job = self.spawner, self.spawner.job
        if not job.id:
            await self._submission.until_found()
        while True:
            await self._until_reported()
            self._probed_report = job.reported_at
            try:
                await self.until_reachable()
                break
            except _JobRequeued:
                spawner.log.warning(
                    "%s: job %s was put back into the queue while its server started",
                    spawner.log_name,
                    job.id,
                )
                spawner.port = 0
                job.requeued()
        for histogram, since in (
            (metrics.STARTING, self.clock.running_since),
            (metrics.REPORT_TO_READY, job.reported_at),
        ):
            if since is not None:
                self._time(histogram, since)
        self.watch_over()

    async def _until_reported(self) -> None:
        """Wait until the job's server has reported and the host of the job is known."""
        spawner = self.spawner
        watch = self._watch(spawner.startup_poll_interval)
        status = None
        while not (spawner.port and self._host(status)):
            if spawner.port:
                # It has reported.
                await watch.change(status)
            else:
                await watch.change_or(spawner.job.report, status)
            status = watch.status
            if status is not None:
                self._note(status)
                await self._check_alive(status)
            spawner.port = spawner.port or fixed_port(spawner)
            if spawner.port and not self._host(status):
                # It runs, for it has reported; the scheduler's last answer is older than that.
                watch.hurry()
        if self.clock.running_since is None:
            # Its report was quicker than the scheduler.
            self._note_running(status)

    async def run(self, *, refresh: bool = False) -> JobInfo:
        watch = self._watch(self.spawner.startup_poll_interval)
        known = watch.status
        if known is None or known.state.is_waiting or refresh:
            return await watch.listed()
        return known

    @property
    def state_delay_s(self) -> float:
        return self.client.scheduler.state_delay_s

    def watch_over(self) -> None:
        """Look after the server from now on: report its end at once, follow a restart."""
        watch = self._watch(self.spawner.poll_interval)
        if self._watchdog is None:
            self._watchdog = Watchdog(self.spawner, watch, self.client)

    def address(self) -> tuple[str, int]:
        return self._host(self.status) or self.spawner.ip, self.spawner.port

    async def check_alive(self) -> None:
        """Raise SpawnFailure if the job has ended, _JobRequeued if it waits again."""
        status, job = self.status, self.spawner.job
        if status is None:
            return
        if status is not self._noted:
            self._note(status)
        await self._check_alive(status)
        # A new report can be quicker than the scheduler's answer.
        if status.state.is_waiting and self._has_run and job.reported_at == self._probed_report:
            # Where the job was, somebody else may listen by now.
            self._has_run = False
            raise _JobRequeued

    async def until_gone(self) -> None:
        spawner = self.spawner
        watch = self._watch(1.0)

        def ended(status: JobInfo) -> bool:
            return status.is_final or status.state is JobState.COMPLETING

        try:
            await within(_END_TIMEOUT_S, watch.until(ended))
        except asyncio.TimeoutError:
            spawner.log.warning(
                "%s: job %s still runs 10 s after it was cancelled",
                spawner.log_name,
                spawner.job.id,
            )

    def describe(self) -> StartDescription:
        job = self.spawner.job
        if not job.id:
            return self._submission.describe()
        running_s = time.monotonic() - (self.clock.running_since or time.monotonic())
        unanswered_s = self._watched.unanswered_for if self._watched else 0.0
        estimate = self._estimator.estimate(self.status, running_s, unanswered_s)
        told = describe_start(self.spawner, self.client.scheduler, self.status, estimate)
        if (self.status is None or self.status.is_final) and job.progress:
            # The scheduler has not answered yet, and an earlier Hub process may know more; or the
            # job has ended, which is told with the failure of the start.
            last = job.progress[-1]
            return replace(told, percent=last.percent, headline=last.text)
        return told

    async def update_estimate(self) -> None:
        await self._estimator.update(self.status)

    def _watch(self, interval: float | None = None) -> Watch:
        if self._watched is None:
            self._watched = self.client.watch(self.spawner.job.id)
        if interval is not None and interval > 0:
            self._watched.interval = interval
        return self._watched

    def _note(self, status: JobInfo) -> None:
        """Record a status of the job, and tell the user while the server starts."""
        self._noted = status
        self.spawner.job.observed(f"{status.native} {status.host}".strip())
        self._has_run = self._has_run or status.state is JobState.RUNNING
        if status.state is not JobState.RUNNING:
            self.clock.note_running(runs=False)
        elif self.clock.running_since is None:
            self._note_running(status)
        if not self.spawner.job.port:
            told = self.describe()
            progress_log.append(self.spawner, told.percent, told.headline)

    def _note_running(self, status: JobInfo | None) -> None:
        self.clock.note_running(runs=True)
        self._estimator.note_start(status)

    def _time(self, histogram: Histogram, since: float) -> None:
        name = self.client.scheduler.name
        histogram.labels(scheduler=name).observe(time.monotonic() - since)

    def _host(self, status: JobInfo | None) -> str:
        if self.spawner.job.reported_host:
            return self.spawner.job.reported_host
        return self.spawner.connect_host(status.host) if status and status.host else ""

    async def _check_alive(self, status: JobInfo) -> None:
        """Raise SpawnFailure if the job has ended."""
        if not status.is_final:
            return
        spawner, job = self.spawner, self.spawner.job
        spawner.log.warning(
            "%s: job %s ended before its server came up: %s",
            spawner.log_name,
            job.id,
            status.describe(),
        )
        raise failure_of_job(job, status, await self.log_tail(), self._api_url)

    def is_of_this_user(self) -> bool:
        return self.client.runner.is_this_user

    async def owners_log_tail(self, timeout: float) -> str:
        with contextlib.suppress(BatchError, asyncio.TimeoutError):
            job, earlier = self.spawner.job, self.job_log().earlier
            return await within(timeout, self.client.log_tail(job.id, *earlier))
        return ""
