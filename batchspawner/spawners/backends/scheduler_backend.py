"""The backend of the scheduler layer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import time
from typing import TYPE_CHECKING

from ...concurrency import within
from ...errors import BatchError, SchedulerUnavailable
from ...jobs import JobState
from ..failures.spawn_failure import failure_of_job
from ..hub import metrics
from ..progress import log as progress_log
from ..progress.messages import describe_start
from ..progress.past_ends import note_end
from ..progress.queue_estimate import QueueEstimator
from ..secrets.confirmation import check_confirmed, open_timeout
from ..server_job import JobStatus
from .backend import Backend, fixed_port
from .http_probe import answers_http
from .submission import Submission
from .watchdog import Watchdog

if TYPE_CHECKING:
    from prometheus_client import Histogram

    from ...client.batch_client import BatchClient
    from ...client.watch import Watch
    from ...jobs import JobInfo
    from .backend import BackendSpawner

_FIRST_ANSWER_TIMEOUT_S = 15.0
"""Time that `poll` waits for the first listing after a restart of the Hub."""

_PROBE_INTERVAL_S = 0.1
"""Time between two probes whether the server answers."""

_CANCEL_INTERVALS_S = (1.0, 5.0)
"""Time between the attempts to cancel a job while the scheduler does not answer."""

_END_TIMEOUT_S = 10.0


class SchedulerBackend(Backend):
    """Backend that submits, watches and cancels one server's job through the scheduler layer."""

    def __init__(self, spawner: BackendSpawner, client: BatchClient) -> None:
        super().__init__(spawner)
        self.client = client
        self._watched: Watch | None = None
        self._watchdog: Watchdog | None = None
        self._estimator = QueueEstimator(spawner.job, client)
        self._submission = Submission(spawner, client)
        self._running_since: float | None = None
        self._noted: JobInfo | None = None

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
        """Cancel the job, again for a while. Raises SchedulerError if it could not be cancelled."""
        spawner, job_id = self.spawner, self.spawner.job.id
        for pause in _CANCEL_INTERVALS_S:
            try:
                return await self.client.cancel(job_id)
            except SchedulerUnavailable as error:
                spawner.log.warning(
                    "%s: job %s is not cancelled yet: %s", spawner.log_name, job_id, error
                )
            await asyncio.sleep(pause)
        return await self.client.cancel(job_id)

    async def poll(self) -> int | None:
        spawner = self.spawner
        if not spawner.job.id and not await self._submission.find_again():
            return 0
        if not spawner.job.id:
            return None
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
        """Wait until the job's server has reported and the host of the job is known."""
        spawner, job = self.spawner, self.spawner.job
        watch = self._watch(spawner.startup_poll_interval)
        status = None
        while not (spawner.port and self._host(status)):
            await self._change_or_report(watch, status)
            status = watch.status
            if status is not None:
                self._note(status)
                await self._check_alive(status)
            spawner.port = spawner.port or fixed_port(spawner)
            if spawner.port and not self._host(status):
                # It runs, for it has reported; the scheduler's last answer is older than that.
                watch.hurry()
        if self._running_since is None:
            # Its report was quicker than the scheduler.
            self._note_running(status)
        spawner.ip = self._host(status)
        job.serving(spawner.ip, spawner.port)
        await self._until_answering(watch)
        for histogram, since in (
            (metrics.STARTING, self._running_since),
            (metrics.REPORT_TO_READY, job.reported_at),
        ):
            if since is not None:
                self._time(histogram, since)
        self.watch_over()

    async def _change_or_report(self, watch: Watch, status: JobInfo | None) -> None:
        """Wait until the job has another status, or has reported if it had not before."""
        tasks: set[asyncio.Future[object]] = {asyncio.ensure_future(watch.change(status))}
        if not self.spawner.port:
            tasks.add(asyncio.ensure_future(self.spawner.job.report.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def run(self, *, refresh: bool = False) -> JobInfo:
        watch = self._watch(self.spawner.startup_poll_interval)
        if refresh:
            await watch.renewed()
        else:
            watch.hurry()
        return await watch.until(lambda status: not status.state.is_waiting)

    def watch_over(self) -> None:
        """Look after the server from now on: report its end at once, follow a restart."""
        watch = self._watch(self.spawner.poll_interval)
        if self._watchdog is None:
            self._watchdog = Watchdog(self.spawner, watch, self.client)

    async def _until_answering(self, watch: Watch) -> None:
        """Wait until the server answers, so that JupyterHub finds it at its first try.

        A job that dies meanwhile ends the wait at once. After `http_timeout` it is left to
        JupyterHub, which waits as long again, to say that it finds nothing.
        """
        spawner = self.spawner
        end = time.monotonic() + open_timeout(spawner)
        while time.monotonic() < end:
            # With internal_ssl only JupyterHub has the certificates to ask.
            if not spawner.job.unconfirmed_port and (
                spawner.internal_ssl or await answers_http(spawner.ip, spawner.port)
            ):
                return
            if watch.status is not None:
                await self._check_alive(watch.status)
            await asyncio.sleep(_PROBE_INTERVAL_S)
        check_confirmed(spawner)

    async def resume(self) -> None:
        await self._within(self.spawner.start_timeout, self._found_and_serving())

    async def _found_and_serving(self) -> None:
        await self._submission.until_found()
        await self.until_serving()

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

    def describe(self) -> tuple[int, str]:
        job = self.spawner.job
        if not job.id:
            return 0, self._submission.describe()
        running_s = time.monotonic() - (self._running_since or time.monotonic())
        unanswered_s = self._watched.unanswered_for if self._watched else 0.0
        estimate = self._estimator.estimate(self.status, running_s, unanswered_s)
        if self.status is None and job.progress and not estimate.is_unanswered:
            return job.progress[-1]
        return describe_start(self.spawner, self.client.scheduler, self.status, estimate)

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
        if status.state is not JobState.RUNNING:
            self._running_since = None
        elif self._running_since is None:
            self._note_running(status)
        if not self.spawner.job.port:
            progress_log.append(self.spawner, *self.describe())

    def _note_running(self, status: JobInfo | None) -> None:
        self._running_since = time.monotonic()
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

    def owner(self) -> int:
        """Return the id of the user to whom the job belongs."""
        if self.client.runner.is_this_user:
            return os.getuid()
        return pwd.getpwnam(self.spawner.user.name).pw_uid

    async def owners_log_tail(self, timeout: float) -> str:
        with contextlib.suppress(BatchError, asyncio.TimeoutError):
            return await within(timeout, self.client.log_tail(self.spawner.job.id))
        return ""
