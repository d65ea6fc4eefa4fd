"""One query an interval for all watched jobs of a scheduler, whoever waits for them.

The rules that this module keeps (`docs/architecture.md` says why):

* One query asks for all watched jobs, or for those of which news is due where that costs the
  scheduler less (`queries`). None is sent while nothing is watched, and two never run at the same
  time. The interval is the shortest that a watch requests, never below the minimum interval of the
  scheduler, with jitter, and longer where the scheduler takes long to answer.
* A failed query says nothing about any job. It is repeated, with growing pauses, without end.
* A job is gone only if a query that succeeded did not name it, and a second source or a second
  query confirmed that (`end_detection`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..concurrency import turn
from ..errors import SchedulerError
from .end_detection import JobEnds
from .queries import Answer, Queries
from .rate_limit import RateLimiter
from .watch import IDLE_INTERVAL_S, Watch
from .watched_jobs import WatchedJobs

if TYPE_CHECKING:
    from ..jobs import JobInfo
    from ..runners import Runner
    from ..schedulers.base import Scheduler

log = logging.getLogger(__name__)

_JOBS_PER_TURN = 100
"""Jobs of a listing that are handled before the event loop gets its turn."""


class Monitor:
    """A poller of one scheduler, through one runner, for all the jobs that are watched.

    `trouble` is the error of the last query, None if it succeeded; `failed` counts the queries
    that failed, by the `kind` of their error. `clock` returns seconds.
    """

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self.scheduler = scheduler
        self.runner = runner
        self.trouble: SchedulerError | None = None
        self.failed: Counter[str] = Counter()
        self.clock = asyncio.get_running_loop().time
        self._queries = Queries(scheduler, self.clock)
        self._jobs = WatchedJobs(scheduler.title, runner)
        self._ends = JobEnds(self._queries, runner, self._jobs, scheduler.accounting_delay_s)
        self._limiter = RateLimiter(scheduler.minimum_interval, self.clock, scheduler.burst)
        self._hurry = False
        self._last_answer: float | None = None
        self._first_failure = self.clock()
        # When the last query was sent that has been answered.
        self._answered = float("-inf")
        self._wake, self._round_done = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def watch(
        self,
        job_id: str,
        interval: float = IDLE_INTERVAL_S,
        owner: Runner | None = None,
        submitted_at: float | None = None,
        owner_name: str = "",
    ) -> Watch:
        """Start to watch a job. Raises ValueError for a text that is not a job id here.

        `interval` is in seconds. `owner` runs commands as the job's owner, who is asked if we
        may not see the job, and whose name is `owner_name`. `submitted_at` is when it was
        submitted, in seconds since the epoch.
        """
        job_id = self.scheduler.checked(job_id)
        watch = Watch(self, job_id, interval, owner, submitted_at, owner_name)
        self._jobs.add(watch)
        self._supervise()
        self.wake()
        return watch

    def watches(self) -> list[Watch]:
        """Return all watches that are open."""
        return self._jobs.watches()

    def forget(self, watch: Watch) -> None:
        """End a watch; the last one of a job ends the queries about it."""
        self._jobs.remove(watch)
        self.wake()

    def note_cancelled(self, job_id: str) -> None:
        """Note that the scheduler has accepted our order to cancel a job."""
        if job := self._jobs.get(job_id):
            job.is_cancelled = True

    def interval_changed(self, watch: Watch, before: float) -> None:
        """Apply the new interval of a watch; called by the watch."""
        if self._jobs.change_interval(watch, before):
            self.wake()

    def set_minimum_interval(self, seconds: float) -> None:
        """Set the minimum interval between two queries, at least the scheduler's own."""
        self._limiter.minimum_interval = max(self.scheduler.minimum_interval, seconds)

    def wake(self) -> None:
        """Compute again when the next query is due."""
        self._wake.set()

    def hurry(self, job_id: str) -> None:
        """Send the next query, which is about this job, too, as soon as the rate limit allows."""
        if job := self._jobs.get(job_id):
            job.asked = float("-inf")
        self._hurry = True
        self.wake()

    async def round_after(self, moment: float, job_id: str) -> None:
        """Wait until a query about a job that was sent after a moment has been answered.

        One that has ended, or that nobody watches, is not asked about any more: then any query.
        """
        self.hurry(job_id)
        while self._answered_about(job_id) < moment:
            self._round_done.clear()
            await self._round_done.wait()

    def _answered_about(self, job_id: str) -> float:
        job = self._jobs.get(job_id)
        return self._answered if job is None or job.has_ended else job.asked

    @property
    def age(self) -> float | None:
        """Seconds since the last answer, or, if there was none, since the first failed query.

        None before the first query has been answered or has failed.
        """
        if self._last_answer is None:
            return self.unanswered_for or None
        return self.clock() - self._last_answer

    @property
    def unanswered_for(self) -> float:
        """Seconds since the first of the failed queries in a row; 0.0 if the last one succeeded."""
        return self.clock() - self._first_failure if self.failures else 0.0

    @property
    def failures(self) -> int:
        """How many queries in a row have had no answer."""
        return self._limiter.failures

    @property
    def queries(self) -> int:
        """How many commands have listed jobs."""
        return self._queries.listings

    @property
    def questions(self) -> int:
        """How many commands have asked about one job."""
        return self._queries.confirmations

    @property
    def watched(self) -> int:
        """How many jobs are watched."""
        return len(self._jobs)

    def statuses(self) -> list[JobInfo]:
        """Return what is known of each watched job."""
        return self._jobs.statuses()

    def _supervise(self) -> None:
        if self._jobs and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._poll())
            self._task.add_done_callback(self._restart)

    def _restart(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "The monitor of %s died; starting it again", self.scheduler.title, exc_info=error
            )
            # Not at once: what kills it may do so each time.
            task.get_loop().call_later(self._limiter.minimum_interval, self._supervise)

    async def _poll(self) -> None:
        # After those who are about to watch a job, too: one query is for all of them.
        await turn()
        while self._jobs:
            self._wake.clear()
            due = self._due()
            if due > 0:
                await self._wait(due)
                continue
            self._limiter.note_query()
            self._hurry, asked = False, self.clock()
            try:
                await self._round(asked)
            except SchedulerError as error:
                self._note_failure(error, asked)
            except Exception as error:
                log.exception("Cannot read the answer of %s", self.scheduler.title)
                self._note_failure(SchedulerError(f"{type(error).__name__}: {error}"), asked)

    async def _wait(self, seconds: float) -> None:
        # Neither a task nor a timeout: this runs between any two queries.
        alarm = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    def _due(self) -> float:
        """Return the seconds until the next query."""
        asked = self._limiter.last_query
        # The last query was not about a job that has come since.
        has_new = asked is not None and self._jobs.newest > asked
        interval = 0.0 if has_new else self._jobs.shortest_interval
        return self._limiter.due(interval, hurry=self._hurry)

    def _note_failure(self, error: SchedulerError, asked: float) -> None:
        if not self.failures:
            self._first_failure = asked
        self._limiter.failures += 1
        self.failed[error.kind] += 1
        self.trouble = error
        if self.failures == 1:
            log.warning(
                "%s does not answer; all its jobs stay as they are. %s", self.scheduler.title, error
            )
        elif self.failures % 10 == 0:
            log.warning(
                "%s has not answered %d times in a row, for %.0f s. %s",
                self.scheduler.title,
                self.failures,
                self.unanswered_for,
                error,
            )

    async def _round(self, asked: float) -> None:
        """Query the scheduler once, and give every watch the new status of its job.

        Raises SchedulerError if it does not answer.
        """
        job_ids = self._jobs.unfinished()
        answer = Answer()
        if job_ids:
            due = self._jobs.due(asked + self._limiter.minimum_interval / 2)
            owner = self._jobs.owner_name()
            answer = await self._queries.listing(job_ids, due, owner, self.runner)
        self._limiter.note_answer()
        self._note_answer(answer.trouble)
        doubtful: dict[str, JobInfo | None] = {}
        for number, job_id in enumerate(answer.asked, 1):
            status = answer.found.get(job_id)
            if status is None and job_id in answer.unanswered:
                continue
            if status is None or status.is_final:
                doubtful[job_id] = status
            else:
                self._jobs.publish(job_id, status)
            if number % _JOBS_PER_TURN == 0:
                await asyncio.sleep(0)
        # A job that was watched again while the query ran is for the next one.
        old = [job_id for job_id in doubtful if self._jobs.watched_since(job_id, asked)]
        await self._ends.resolve({job_id: doubtful[job_id] for job_id in old})
        self._jobs.note_asked(answer.asked, asked)
        self._answered = asked
        self._round_done.set()

    def _note_answer(self, trouble: SchedulerError | None) -> None:
        """Note that the scheduler has answered, but for those commands that had this trouble."""
        if self.failures:
            log.warning("%s answers again", self.scheduler.title)
        if trouble is not None:
            self.failed[trouble.kind] += 1
            if self.trouble is None:
                log.warning(
                    "%s does not answer about some of its jobs; these stay as they are. %s",
                    self.scheduler.title,
                    trouble,
                )
        self._last_answer, self._limiter.failures, self.trouble = self.clock(), 0, trouble


_monitors: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Scheduler, Runner], Monitor]] = (
    WeakKeyDictionary()
)


def shared_monitor(scheduler: Scheduler, runner: Runner) -> Monitor:
    """Return the one monitor of this event loop for a scheduler and a way to reach it."""
    monitors = _monitors.setdefault(asyncio.get_running_loop(), {})
    if (scheduler, runner) not in monitors:
        monitors[scheduler, runner] = Monitor(scheduler, runner)
    return monitors[scheduler, runner]


def all_monitors() -> list[Monitor]:
    """Return every monitor of this process, for the metrics."""
    return [
        one
        for loop, monitors in list(_monitors.items())
        if not loop.is_closed()
        for one in list(monitors.values())
    ]
