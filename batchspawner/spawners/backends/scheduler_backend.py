"""Speak with a scheduler through the scheduler layer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import time
from typing import TYPE_CHECKING, Any

from ...concurrency import within
from ...errors import BatchError
from ...jobs import JobState
from ...schedulers import scheduler_class, scheduler_names
from ..failures.deadline import late
from ..failures.spawn_failure import SpawnFailure, failure_of_job
from ..hub import metrics
from ..hub.state import JobStatus
from ..progress.log import tell
from ..progress.messages import describe_start
from ..progress.past_ends import note_end
from ..progress.queue_estimate import QueueEstimator
from ..secrets.confirmation import check_confirmed, patience
from .cancel import cancel_patiently
from .exec_prefix import client_of, prefix_of
from .http_probe import answers_http
from .names import prefix_words, risky_names
from .selection import customisations
from .submission import Submission
from .watchdog import Watchdog

if TYPE_CHECKING:
    from prometheus_client import Histogram

    from ...client.batch_client import BatchClient
    from ...client.watch import Watch
    from ...jobs import JobInfo

_FIRST_ANSWER = 15.0
"""Seconds that `poll` waits for the first listing after a restart of the Hub."""

_ANSWER_PAUSE = 0.1
"""Seconds between two looks whether the server answers."""


class SchedulerBackend:
    """Submit, watch and cancel one spawner's job."""

    def __init__(self, spawner: Any, client: BatchClient) -> None:
        self.spawner = spawner
        self.client = client
        self._watched: Watch | None = None
        self._keeper: Watchdog | None = None
        self._lookout = QueueEstimator(spawner, client)
        self._submission = Submission(spawner, client)
        self._running_since: float | None = None
        self._noted: JobInfo | None = None

    @classmethod
    def of(cls, spawner: Any) -> SchedulerBackend | None:
        """Return the backend of a spawner, or None where its site speaks for itself."""
        if spawner.scheduler_name not in scheduler_names():
            return None
        own = customisations(spawner)
        scheduler = scheduler_class(spawner.scheduler_name)()
        variables = spawner.get_req_subvars()
        words = None
        if not own:
            words = prefix_words(prefix_of(spawner), variables, risky_names(spawner))
        if words is None:
            spawner.log.log(
                logging.WARNING if spawner.launcher else logging.DEBUG,
                "%s: the configuration's own commands are used%s, because of %s",
                spawner._log_name,
                " and not the launcher" if spawner.launcher else "",
                ", ".join(own) or "exec_prefix",
            )
            return None
        owner = str(variables["username"])
        client = client_of(scheduler, words, spawner.launcher, owner)
        client.minimum_interval = spawner.query_floor
        return cls(spawner, client)

    def close(self) -> None:
        """End the watch of the job."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self._watched is not None:
            self._watched.close()
            self._watched = None

    @property
    def status(self) -> JobInfo | None:
        """What the scheduler said last about the job."""
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
        await cancel_patiently(self.client, self.spawner)

    async def poll(self) -> int | None:
        spawner = self.spawner
        if not spawner.job_id and not await self._submission.find_again():
            return 0
        if not spawner.job_id:
            return None
        watch = self._watch(spawner.poll_interval)
        status = watch.status
        if status is None:
            try:
                status = await within(_FIRST_ANSWER, watch.change())
            except asyncio.TimeoutError:
                return None
        # Nothing is new with most of ten thousand servers.
        if status is not self._noted:
            self._note(status)
        if self._keeper is not None and self._keeper.lost:
            return 1
        if not status.is_final:
            return None
        spawner.log.warning(
            "%s: job %s has ended: %s", spawner._log_name, spawner.job_id, status.describe()
        )
        note_end(spawner, status)
        return 1 if status.exit_code is None else status.exit_code

    async def until_serving(self) -> None:
        """Wait until the job's server has reported and the host of the job is known."""
        spawner = self.spawner
        watch = self._watch(spawner.startup_poll_interval)
        status = None
        while not (spawner.port and self._host(status)):
            news = asyncio.ensure_future(watch.change(status))
            tasks: set[asyncio.Future[Any]] = {news}
            if not spawner.port:
                tasks.add(asyncio.ensure_future(spawner.report.wait()))
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
            status = watch.status
            if status is not None:
                self._note(status)
                await self._check_alive(status)
            self._use_fixed_port()
            if spawner.port and not self._host(status):
                # It runs, for it has reported; the scheduler's last answer is older than that.
                watch.hurry()
        if self._running_since is None:
            # Its report was quicker than the scheduler.
            self._note_running(status)
        spawner.ip = self._host(status)
        spawner.job_host, spawner.job_port = spawner.ip, spawner.port
        await self._until_answering(watch)
        for histogram, since in (
            (metrics.STARTING, self._running_since),
            (metrics.REPORT_TO_READY, spawner.reported_at),
        ):
            if since is not None:
                self._time(histogram, since)
        self.keep()

    async def run(self, *, news: bool = False) -> JobInfo:
        """Return the job's status once it does not wait any more.

        With `news` the scheduler is asked now, whatever it said before.
        """
        watch = self._watch(self.spawner.startup_poll_interval)
        if news:
            await watch.renewed()
        else:
            watch.hurry()
        return await watch.until(lambda status: not status.state.is_waiting)

    def keep(self) -> None:
        """Look after the server from now on: its end is told at once, its restart followed."""
        watch = self._watch(self.spawner.poll_interval)
        if self._keeper is None:
            self._keeper = Watchdog(self.spawner, watch, self.client)

    async def _until_answering(self, watch: Watch) -> None:
        """Wait until the server answers, so that JupyterHub finds it at its first try.

        A job that dies meanwhile ends the wait at once. After `http_timeout` JupyterHub, which
        has the same right to look, shall say itself that it finds nothing.
        """
        spawner = self.spawner
        end = time.monotonic() + patience(spawner)
        while time.monotonic() < end:
            # With internal_ssl only JupyterHub has the certificates to ask.
            if not spawner.unconfirmed_port and (
                spawner.internal_ssl or await answers_http(spawner.ip, spawner.port)
            ):
                return
            if watch.status is not None:
                await self._check_alive(watch.status)
            await asyncio.sleep(_ANSWER_PAUSE)
        check_confirmed(spawner)

    async def resume(self) -> None:
        """Wait for a job that an earlier Hub process had submitted.

        Raises SpawnFailure where its server does not come up.
        """
        try:
            await within(self.spawner.start_timeout, self._found_and_serving())
        except asyncio.TimeoutError:
            raise SpawnFailure(story=await late(self.spawner)) from None

    async def _found_and_serving(self) -> None:
        await self._submission.until_found()
        await self.until_serving()

    async def until_gone(self) -> None:
        spawner = self.spawner
        watch = self._watch(1.0)

        def ended(status: JobInfo) -> bool:
            return status.is_final or status.state is JobState.COMPLETING

        try:
            await within(10, watch.until(ended))
        except asyncio.TimeoutError:
            spawner.log.warning(
                "%s: job %s still runs 10 s after it was cancelled",
                spawner._log_name,
                spawner.job_id,
            )

    def describe(self) -> tuple[int, str]:
        """Return a percentage and a sentence about how far the start has come."""
        if not self.spawner.job_id:
            return 0, self._submission.describe()
        waited = time.monotonic() - (self._running_since or time.monotonic())
        silence = self._watched.unanswered_for if self._watched else 0.0
        outlook = self._lookout.outlook(self.status, waited, silence)
        if self.status is None and self.spawner.story and not outlook.is_silent:
            percent, message = self.spawner.story[-1]
            return percent, message
        return describe_start(self.spawner, self.client.scheduler, self.status, outlook)

    async def look_around(self) -> None:
        """Learn what `describe` tells besides the job's status."""
        await self._lookout.look(self.status)

    def _watch(self, interval: float | None = None) -> Watch:
        if self._watched is None:
            self._watched = self.client.watch(self.spawner.job_id)
        if interval is not None and interval > 0:
            self._watched.interval = interval
        return self._watched

    def _note(self, status: JobInfo) -> None:
        self._noted = status
        self.spawner.job_status = f"{status.native} {status.host}".strip()
        if status.state is not JobState.RUNNING:
            self._running_since = None
        elif self._running_since is None:
            self._note_running(status)
        if not self.spawner.job_port:
            tell(self.spawner, *self.describe())

    def _note_running(self, status: JobInfo | None) -> None:
        self._running_since = time.monotonic()
        self._lookout.note_start(status)

    def _time(self, histogram: Histogram, since: float) -> None:
        name = self.client.scheduler.name
        histogram.labels(scheduler=name).observe(time.monotonic() - since)

    def _host(self, status: JobInfo | None) -> str:
        if self.spawner.reported_host:
            return str(self.spawner.reported_host)
        return str(self.spawner.connect_host(status.host)) if status and status.host else ""

    async def _check_alive(self, status: JobInfo) -> None:
        if not status.is_final:
            return
        spawner = self.spawner
        spawner.log.warning(
            "%s: job %s ended before its server came up: %s",
            spawner._log_name,
            spawner.job_id,
            status.describe(),
        )
        raise await failure_of_job(spawner, status)

    def owner(self) -> int:
        """Return the id of the user to whom the job belongs."""
        if self.client.runner.is_this_user:
            return os.getuid()
        return pwd.getpwnam(self.spawner.user.name).pw_uid

    async def log_tail(self, patience: float) -> str:
        """Return the end of the job's log, as its owner, or nothing where that is not allowed."""
        with contextlib.suppress(BatchError, asyncio.TimeoutError):
            return await within(patience, self.client.log_tail(self.spawner.job_id))
        return ""

    def _use_fixed_port(self) -> None:
        """Take the port that the configuration fixes where no wrapper reports one."""
        spawner = self.spawner
        if hasattr(spawner, "mock_port"):
            spawner.port = spawner.mock_port
