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
from collections import Counter
from typing import TYPE_CHECKING

from ..errors import SchedulerError
from ..jobs import JobInfo, JobState
from ..runners import ask
from .rate_limit import RateLimiter
from .watch import CALM, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..runners import Runner
    from ..schedulers.base import Listing, Scheduler

log = logging.getLogger(__name__)

_CONFIRMATIONS = 4
"""How many commands that confirm an end, or ask an owner, may run at a time."""

_BREATH = 500
"""After how many jobs of a listing the event loop gets its turn."""


class Monitor:
    """Ask one scheduler, through one runner, for all the jobs that are watched."""

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self.scheduler = scheduler
        self.runner = runner
        self.trouble: SchedulerError | None = None
        self.queries = self.questions = 0
        self.failed: Counter[str] = Counter()
        self.clock = asyncio.get_running_loop().time
        self._watches: dict[str, list[Watch]] = {}
        # How many watches wish for which interval: thousands of them wish for very few.
        self._wishes: Counter[float] = Counter()
        self._newest = float("-inf")
        self._missing: dict[str, int] = {}
        # Jobs that only their owners see: nobody else is asked about them.
        self._hidden: set[str] = set()
        self._pace = RateLimiter(scheduler.floor, self.clock, scheduler.reserve)
        self._hurry = False
        self._heard: float | None = None
        self._unanswered = self.clock()
        self._answered = float("-inf")
        self._wake, self._news = asyncio.Event(), asyncio.Event()
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
        self._wishes[watch.interval] += 1
        if watch.status is None:
            self._newest = watch.since
        self._supervise()
        self.wake()
        return watch

    def forget(self, watch: Watch) -> None:
        """End a watch; the last one of a job ends the questions about it."""
        watches = self._watches.get(watch.job_id, [])
        if watch in watches:
            watches.remove(watch)
            self._unwish(watch.interval)
        if not watches:
            self._watches.pop(watch.job_id, None)
            self._missing.pop(watch.job_id, None)
            self._hidden.discard(watch.job_id)
        self.wake()

    def wishes_otherwise(self, watch: Watch, before: float) -> None:
        """Take note of a watch's new interval."""
        if watch in self._watches.get(watch.job_id, ()):
            self._unwish(before)
            self._wishes[watch.interval] += 1
            self.wake()

    def _unwish(self, interval: float) -> None:
        self._wishes[interval] -= 1
        if not self._wishes[interval]:
            del self._wishes[interval]

    def keep_floor(self, seconds: float) -> None:
        """Let that long pass between two queries, if it is more than the scheduler's own floor."""
        self._pace.floor = max(self.scheduler.floor, seconds)

    def wake(self) -> None:
        """Reckon anew when the next query is due."""
        self._wake.set()

    def hurry(self) -> None:
        """Ask as soon as the scheduler can bear."""
        self._hurry = True
        self.wake()

    async def round_after(self, moment: float) -> None:
        """Wait until a query that was sent after a moment has been answered."""
        self.hurry()
        while self._answered < moment:
            self._news.clear()
            await self._news.wait()

    @property
    def age(self) -> float | None:
        """Seconds since the scheduler last answered, or since it was first asked in vain.

        None where it has not been asked, or is asked for the first time just now.
        """
        return self.silence or None if self._heard is None else self.clock() - self._heard

    @property
    def silence(self) -> float:
        """Seconds since the first of the queries that have had no answer; 0.0 if the last had."""
        return self.clock() - self._unanswered if self.failures else 0.0

    @property
    def failures(self) -> int:
        """How many queries in a row have had no answer."""
        return self._pace.failures

    @property
    def watched(self) -> int:
        """How many jobs are watched."""
        return len(self._watches)

    def statuses(self) -> list[JobInfo]:
        """Return what is known of each watched job."""
        groups = list(self._watches.values())
        return [group[0].status for group in groups if group[0].status is not None]

    def _supervise(self) -> None:
        if self._watches and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._poll())
            self._task.add_done_callback(self._restart)

    def _restart(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "The monitor of %s died; starting it again", self.scheduler.title, exc_info=error
            )
            # Not at once: what kills it may do so each time.
            task.get_loop().call_later(self._pace.floor, self._supervise)

    async def _poll(self) -> None:
        while self._watches:
            self._wake.clear()
            due = self._due()
            if due > 0:
                await self._wait(due)
                continue
            self._pace.note()
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
        asked = self._pace.asked
        new = asked is not None and self._newest > asked
        interval = 0.0 if new else min(self._wishes)
        return self._pace.due(interval, hurry=self._hurry)

    def _note_failure(self, error: SchedulerError, asked: float) -> None:
        if not self.failures:
            self._unanswered = asked
        self._pace.failures += 1
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
                self.silence,
                error,
            )

    async def _round(self, asked: float) -> None:
        """Ask once for all jobs, and tell whoever waits."""
        job_ids = [
            job_id
            for job_id, watches in self._watches.items()
            if not (watches[0].status and watches[0].status.is_final)
        ]
        found = await self._listing(job_ids, self.runner) if job_ids else {}
        if self.failures:
            log.warning("%s answers again", self.scheduler.title)
        self._heard, self._pace.failures, self.trouble = self.clock(), 0, None
        doubtful = []
        for number, job_id in enumerate(job_ids, 1):
            status = found.get(job_id)
            if status is None or status.is_final:
                doubtful.append(job_id)
            else:
                self._tell(job_id, status)
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        # A job that came while the query ran cannot be in its answer.
        old = [job_id for job_id in doubtful if self._since(job_id) <= asked]
        hidden = [one for one in old if one in self._hidden and one not in found]
        theirs, _ = await self._as_their_owners_see(hidden)
        old = [one for one in old if one not in theirs]
        known = await asyncio.gather(*(self._explain(one, found.get(one)) for one in old))
        await self._look_for({one: how is None for one, how in zip(old, known) if not how})
        self._answered = asked
        self._news.set()

    async def _listing(self, job_ids: list[str], runner: Runner) -> dict[str, JobInfo]:
        found: dict[str, JobInfo] = {}
        for call in self.scheduler.query(job_ids):
            self.queries += 1
            listing: Listing = await ask(self.scheduler, call, runner)
            found.update(listing)
        return found

    def _since(self, job_id: str) -> float:
        """Return since when a job is watched; a job that nobody watches is as if it came late."""
        watches = self._watches.get(job_id)
        return watches[0].since if watches else float("inf")

    def _tell(self, job_id: str, status: JobInfo) -> None:
        self._missing.pop(job_id, None)
        if status.state is JobState.UNKNOWN and not status.gone:
            log.warning(
                "%s says %r of job %s, a state that is not known here; the job is taken to live",
                self.scheduler.title,
                status.native,
                job_id,
            )
        for watch in self._watches.get(job_id, ()):
            watch.tell(status)

    async def _explain(
        self, job_id: str, listed: JobInfo | None, owner: Runner | None = None
    ) -> bool | None:
        """Find out how a job ended. False: no source knows it; None: a source did not answer."""
        if job_id in self._hidden:
            owner = self._owner(job_id)
        async with self._slots:
            try:
                status = await self._confirmed(job_id, owner)
            except SchedulerError as error:
                log.info("No word yet about the end of job %s: %s", job_id, error)
                if listed is None:
                    return None
                status = None
        if status is not None and (listed is None or status.is_final):
            self._tell(job_id, status)
        elif listed is not None:
            self._tell(job_id, listed)
        else:
            return False
        return True

    async def _confirmed(self, job_id: str, owner: Runner | None) -> JobInfo | None:
        try:
            return await self._asked(job_id, owner or self.runner)
        except SchedulerError as error:
            if owner is None:
                raise
            # Not every site lets us run these commands as the owner.
            log.info("Cannot ask the owner about the end of job %s: %s", job_id, error)
        return await self._asked(job_id, self.runner)

    async def _asked(self, job_id: str, runner: Runner) -> JobInfo | None:
        for call in self.scheduler.confirm(job_id):
            self.questions += 1
            status = await ask(self.scheduler, call, runner)
            if status is not None:
                return status
        return None

    async def _look_for(self, jobs: dict[str, bool]) -> None:
        """Look for jobs that nothing here knows; a scheduler may show them to their owners only.

        A job whose other sources did not answer, which its value says, is not given up, whatever
        its owner sees.
        """
        theirs, unanswered = await self._as_their_owners_see(jobs)
        self._hidden |= theirs & self._watches.keys()
        for job_id, unsure in jobs.items():
            if not unsure and job_id not in theirs | unanswered:
                self._note_missing(job_id)

    async def _as_their_owners_see(self, jobs: Iterable[str]) -> tuple[set[str], set[str]]:
        """Take the word of the owners' listings, one each, about jobs that they name.

        Return those, and those whose owner could not be asked.
        """
        by_owner: dict[Runner | None, list[str]] = {}
        for job_id in jobs:
            by_owner.setdefault(self._owner(job_id), []).append(job_id)
        theirs: set[str] = set()
        unanswered: set[str] = set()

        async def look(owner: Runner, job_ids: list[str]) -> None:
            try:
                async with self._slots:
                    found = await self._listing(job_ids, owner)
            except SchedulerError as error:
                log.info("Cannot ask the owner of jobs %s: %s", ", ".join(job_ids), error)
                unanswered.update(job_ids)
                return
            for job_id in found.keys() & set(job_ids):
                theirs.add(job_id)
                if found[job_id].is_final:
                    await self._explain(job_id, found[job_id], owner)
                else:
                    self._tell(job_id, found[job_id])

        await asyncio.gather(*(look(owner, ids) for owner, ids in by_owner.items() if owner))
        return theirs, unanswered

    def _owner(self, job_id: str) -> Runner | None:
        """Return who runs commands as a job's owner, where that is another than we."""
        owners = [watch.owner for watch in self._watches.get(job_id, ()) if watch.owner]
        return owners[0] if owners and owners[0] != self.runner else None

    def _note_missing(self, job_id: str) -> None:
        """Give a job up when no source knows it and two queries have not named it."""
        if job_id not in self._watches:
            return
        self._missing[job_id] = self._missing.get(job_id, 0) + 1
        if self._missing[job_id] > 1:
            gone = JobInfo(job_id, JobState.UNKNOWN, reason="no trace of it", gone=True)
            self._tell(job_id, gone)
