"""Watch all jobs of a scheduler with one query an interval, for everybody who waits.

The rules that this module keeps (`docs/architecture.md` says why):

* One query asks for all watched jobs, none is sent while nothing is watched, and two never run
  at a time. The interval is the shortest that a watcher wishes for, never below the scheduler's
  floor, with jitter.
* A failed query says nothing about any job. It is repeated, with growing pauses, for ever.
* A job is gone only when a query that succeeded did not name it, and a second source or a second
  query confirmed that.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .errors import SchedulerError
from .jobs import JobState, JobStatus
from .runners import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from .runners import Runner
    from .schedulers.base import Scheduler

log = logging.getLogger(__name__)

CALM = 30.0
"""Seconds between two queries when no watcher wishes for less."""

_JITTER = 0.1
"""Share of the interval by which it varies, so that several Hubs do not ask in step."""

_BACK_OFF_LIMIT = 120.0
"""Seconds between two queries at most while the scheduler does not answer."""

_CONFIRMATIONS = 4
"""How many commands that confirm an end may run at a time."""


class Watch:
    """Follow one job; close it when nobody waits for the job any more.

    `status` is None until the scheduler has been heard. `interval` is how old, in seconds, the
    status may become; it can be set at any time.
    """

    def __init__(
        self, monitor: Monitor, job_id: str, interval: float, owner: Runner | None = None
    ) -> None:
        self.job_id = job_id
        self.owner = owner
        self.status: JobStatus | None = None
        self.since = time.monotonic()
        self._monitor = monitor
        self._interval = interval
        self._changed = asyncio.Event()

    @property
    def interval(self) -> float:
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._monitor.wake()

    @property
    def trouble(self) -> SchedulerError | None:
        """The error that keeps the status from being renewed, or None."""
        return self._monitor.trouble

    async def change(self, seen: JobStatus | None = None) -> JobStatus:
        """Wait until the status is another than the one that the caller has seen."""
        while self.status is None or self.status == seen:
            self._changed.clear()
            await self._changed.wait()
        return self.status

    async def until(self, wanted: Callable[[JobStatus], bool]) -> JobStatus:
        """Wait for a status that the caller wants."""
        status = await self.change()
        while not wanted(status):
            status = await self.change(status)
        return status

    def close(self) -> None:
        self._monitor.forget(self)

    def tell(self, status: JobStatus) -> None:
        if status != self.status:
            self.status = status
            self._changed.set()


class Monitor:
    """Ask one scheduler, through one runner, for all the jobs that are watched."""

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self.scheduler = scheduler
        self.runner = runner
        self.trouble: SchedulerError | None = None
        self.queries = 0
        self._watches: dict[str, list[Watch]] = {}
        self._missing: dict[str, int] = {}
        self._failures = 0
        self._heard: float | None = None
        self._asked: float | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(_CONFIRMATIONS)

    def watch(self, job_id: str, interval: float = CALM, owner: Runner | None = None) -> Watch:
        """Begin to watch a job. Raises ValueError for a text that is no job id here.

        `owner` runs commands as the job's owner, who is asked where we may not see the job.
        """
        watch = Watch(self, self.scheduler.checked(job_id), interval, owner)
        others = self._watches.setdefault(job_id, [])
        if others:
            watch.status = others[0].status
        others.append(watch)
        self._supervise()
        self.wake()
        return watch

    def forget(self, watch: Watch) -> None:
        """End a watch; the last one of a job ends the questions about it."""
        watches = self._watches.get(watch.job_id, [])
        if watch in watches:
            watches.remove(watch)
        if not watches:
            self._watches.pop(watch.job_id, None)
            self._missing.pop(watch.job_id, None)
        self.wake()

    def wake(self) -> None:
        """Reckon anew when the next query is due."""
        self._wake.set()

    @property
    def age(self) -> float | None:
        """Seconds since the scheduler last answered, or None where it never has."""
        return None if self._heard is None else time.monotonic() - self._heard

    def _supervise(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._poll())
            self._task.add_done_callback(self._restart)

    def _restart(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("The monitor of %s died; starting it again", self.scheduler.title)
            if self._watches:
                self._supervise()

    async def _poll(self) -> None:
        while self._watches:
            self._wake.clear()
            due = self._due()
            if due > 0:
                await self._wait(due)
                continue
            self._asked = time.monotonic()
            try:
                await self._round(self._asked)
            except SchedulerError as error:
                self._note_failure(error)
            except Exception as error:
                log.exception("Cannot read the answer of %s", self.scheduler.title)
                self._note_failure(SchedulerError(f"{type(error).__name__}: {error}"))

    async def _wait(self, seconds: float) -> None:
        # Not asyncio.wait_for: before Python 3.12 it could swallow our own cancellation.
        alarm = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    def _due(self) -> float:
        """Return the seconds until the next query, jitter included."""
        if self._asked is None:
            return 0.0
        watches = [watch for group in self._watches.values() for watch in group]
        new = any(watch.status is None and watch.since > self._asked for watch in watches)
        interval = 0.0 if new else min(watch.interval for watch in watches)
        interval = max(interval, self.scheduler.floor)
        if self._failures:
            pause = interval * 2.0 ** min(self._failures, 10)
            interval = max(interval, min(pause, _BACK_OFF_LIMIT))
        # The same number until the next query, whatever wakes us in between.
        jitter = random.Random(self._asked).uniform(0.0, _JITTER)  # noqa: S311
        return self._asked + interval * (1 + jitter) - time.monotonic()

    def _note_failure(self, error: SchedulerError) -> None:
        self._failures += 1
        self.trouble = error
        if self._failures == 1:
            log.warning("%s does not answer; all its jobs stay as they are. %s",
                        self.scheduler.title, error)  # fmt: skip
        elif self._failures % 10 == 0:
            log.warning("%s has not answered %d times in a row. %s",
                        self.scheduler.title, self._failures, error)  # fmt: skip

    async def _round(self, asked: float) -> None:
        """Ask once for all jobs, and tell whoever waits."""
        job_ids = [
            job_id
            for job_id, watches in self._watches.items()
            if not (watches[0].status and watches[0].status.is_final)
        ]
        found: dict[str, JobStatus] = {}
        if job_ids:
            self.queries += 1
            for call in self.scheduler.query(job_ids):
                listing = await ask(self.scheduler, call, self.runner)
                found.update(listing)
        if self._failures:
            log.warning("%s answers again", self.scheduler.title)
        self._heard, self._failures, self.trouble = time.monotonic(), 0, None
        doubtful = []
        for job_id in job_ids:
            status = found.get(job_id)
            if status is None or status.is_final:
                doubtful.append(self._explain(job_id, status, asked))
            else:
                self._tell(job_id, status)
        await asyncio.gather(*doubtful)

    def _tell(self, job_id: str, status: JobStatus) -> None:
        self._missing.pop(job_id, None)
        if status.state is JobState.UNKNOWN and not status.gone:
            log.warning("%s says %r of job %s, a state that is not known here; "
                        "the job is taken to live", self.scheduler.title, status.native,
                        job_id)  # fmt: skip
        for watch in self._watches.get(job_id, ()):
            watch.tell(status)

    async def _explain(self, job_id: str, listed: JobStatus | None, asked: float) -> None:
        """Find out how a job ended, or whether it ended at all."""
        watches = self._watches.get(job_id)
        if not watches or watches[0].since > asked:
            # It came while the query ran, which cannot know it yet.
            return
        async with self._slots:
            try:
                status = await self._confirmed(job_id)
            except SchedulerError as error:
                log.info("No word yet about the end of job %s: %s", job_id, error)
                status = None
                if listed is None:
                    return
        if status is not None and (listed is None or status.is_final):
            self._tell(job_id, status)
        elif listed is not None:
            self._tell(job_id, listed)
        else:
            self._note_missing(job_id)

    async def _confirmed(self, job_id: str) -> JobStatus | None:
        """Ask the other sources, and the owner where none of them knows the job."""
        failure = None
        try:
            for call in self.scheduler.confirm(job_id):
                status = await ask(self.scheduler, call, self.runner)
                if status is not None:
                    return status
        except SchedulerError as error:
            failure = error
        status = await self._as_the_owner_sees(job_id)
        if status is None and failure is not None:
            raise failure
        return status

    async def _as_the_owner_sees(self, job_id: str) -> JobStatus | None:
        """Look for a job in the owner's own listing: a scheduler may hide it from all others."""
        owners = [watch.owner for watch in self._watches.get(job_id, ()) if watch.owner]
        if not owners or owners[0] == self.runner:
            return None
        for call in self.scheduler.query([job_id]):
            listing = await ask(self.scheduler, call, owners[0])
            if job_id in listing:
                return listing[job_id]
        return None

    def _note_missing(self, job_id: str) -> None:
        """Give a job up when no source knows it and two queries have not named it."""
        if job_id not in self._watches:
            return
        self._missing[job_id] = self._missing.get(job_id, 0) + 1
        if self._missing[job_id] > 1:
            gone = JobStatus(job_id, JobState.UNKNOWN, reason="no trace of it", gone=True)
            self._tell(job_id, gone)


_monitors: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Scheduler, Runner], Monitor]] = (
    WeakKeyDictionary()
)


def shared_monitor(scheduler: Scheduler, runner: Runner) -> Monitor:
    """Return the one monitor of this event loop for a scheduler and a way to reach it."""
    monitors = _monitors.setdefault(asyncio.get_running_loop(), {})
    return monitors.setdefault((scheduler, runner), Monitor(scheduler, runner))
