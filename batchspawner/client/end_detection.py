"""How a job ended, or that it is gone: what follows when a listing does not show it alive.

A job is gone if two listings that succeeded did not name it, and neither a second source, such
as accounting, nor its owner's own listing knew it. What a second source can say besides:

* It cannot tell: its command is not there, it is not configured, it is not allowed, or its record
  cannot be read. Then it is like a source that does not know the job.
* It does not answer. It is waited for, because it may know how the job ended, but not longer than
  SOURCE_TIMEOUT_S: a job that listings do not name has ended, whatever became of the accounting.
* It knows another job of the same number, because the scheduler counts from the beginning again.
  A record that ended long before our job is not about it.
* It does not know the job yet: some schedulers write down an end with a delay, which is waited for.

An owner who cannot be asked never makes a job gone: nobody else may see a hidden job.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import TYPE_CHECKING

from ..errors import SchedulerError, SchedulerUnavailable
from ..jobs import JobInfo, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..runners import Runner
    from .queries import Queries
    from .watched_jobs import WatchedJobs

log = logging.getLogger(__name__)

_MAX_COMMANDS = 4
"""Commands that confirm an end, or ask an owner, at a time."""

_MISSES_UNTIL_GONE = 2

SOURCE_TIMEOUT_S = 20.0
"""How long a second source that does not answer is waited for."""

_MIN_AGE_OF_OTHERS_S = 26 * 3600.0
"""How long before our job the end of another job of its number is, at least.

Records are in the local time of a machine that may be anywhere.
"""


class _Answer(enum.Enum):
    """What a second source says of a job; NONE if it does not answer."""

    PUBLISHED = enum.auto()
    UNKNOWN_JOB = enum.auto()
    NONE = enum.auto()


class JobEnds:
    """Finds out how watched jobs ended, through one runner and through those of their owners."""

    def __init__(
        self, queries: Queries, runner: Runner, jobs: WatchedJobs, accounting_delay_s: float
    ) -> None:
        self._queries, self._runner, self._jobs = queries, runner, jobs
        self._accounting_delay_s = accounting_delay_s
        self._slots = asyncio.Semaphore(_MAX_COMMANDS)

    async def resolve(self, doubtful: Mapping[str, JobInfo | None]) -> None:
        """Publish what became of jobs that a listing did not show alive; called once a query.

        `doubtful` has the final status in which the listing showed a job, None if it did not.
        """
        hidden = [
            job_id
            for job_id, listed in doubtful.items()
            if listed is None and self._is_hidden(job_id)
        ]
        shown, _ = await self._ask_owners(hidden)
        rest = [job_id for job_id in doubtful if job_id not in shown]
        answers = await asyncio.gather(
            *(self._confirm_and_publish(job_id, doubtful[job_id]) for job_id in rest)
        )
        missing = {
            job_id: answer
            for job_id, answer in zip(rest, answers)
            if answer is not _Answer.PUBLISHED
        }
        shown, unanswered = await self._ask_owners(missing)
        for job_id in shown:
            if job := self._jobs.get(job_id):
                job.is_hidden = True
        for job_id, answer in missing.items():
            if job_id not in shown | unanswered:
                self._count_miss(job_id, answer)

    def _is_hidden(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and job.is_hidden

    async def _confirm_and_publish(
        self, job_id: str, listed: JobInfo | None, owner: Runner | None = None
    ) -> _Answer:
        if self._is_hidden(job_id):
            owner = self._jobs.owner(job_id)
        async with self._slots:
            try:
                status = await self._confirm(job_id, owner)
            except SchedulerError as error:
                log.info("How job %s ended is not known yet: %s", job_id, error)
                if listed is None and isinstance(error, SchedulerUnavailable):
                    return _Answer.NONE
                status = None
        if status is not None and self._is_of_another(job_id, status):
            status = None
        if status is not None and (listed is None or status.is_final):
            self._jobs.publish(job_id, status)
        elif listed is not None:
            self._jobs.publish(job_id, listed)
        else:
            return _Answer.UNKNOWN_JOB
        return _Answer.PUBLISHED

    def _is_of_another(self, job_id: str, status: JobInfo) -> bool:
        """Check whether a record is about an earlier job that had the number of ours."""
        job = self._jobs.get(job_id)
        if job is None or job.alive_at is None or status.end is None or not status.is_final:
            return False
        return status.end < job.alive_at - _MIN_AGE_OF_OTHERS_S

    async def _confirm(self, job_id: str, owner: Runner | None) -> JobInfo | None:
        try:
            return await self._queries.confirm(job_id, owner or self._runner)
        except SchedulerError as error:
            if owner is None:
                raise
            # Not every site lets us run these commands as the owner.
            log.info("Cannot ask as the owner how job %s ended: %s", job_id, error)
        return await self._queries.confirm(job_id, self._runner)

    async def _ask_owners(self, jobs: Iterable[str]) -> tuple[set[str], set[str]]:
        """Ask for jobs as their owners, with one listing each, and publish what these show.

        Return the jobs that a listing showed, and those whose owner could not be asked.
        """
        by_owner: dict[Runner, list[str]] = {}
        for job_id in jobs:
            owner = self._jobs.owner(job_id)
            if owner is not None:
                by_owner.setdefault(owner, []).append(job_id)
        shown: set[str] = set()
        unanswered: set[str] = set()

        async def ask_one(owner: Runner, job_ids: list[str]) -> None:
            try:
                async with self._slots:
                    answer = await self._queries.listing_of_all(job_ids, owner)
            except SchedulerError as error:
                log.info("Cannot ask the owner of jobs %s: %s", ", ".join(job_ids), error)
                unanswered.update(job_ids)
                return
            found = answer.found
            unanswered.update(answer.unanswered)
            for job_id in found.keys() & set(job_ids):
                shown.add(job_id)
                if found[job_id].is_final:
                    await self._confirm_and_publish(job_id, found[job_id], owner)
                else:
                    self._jobs.publish(job_id, found[job_id])

        await asyncio.gather(*(ask_one(owner, job_ids) for owner, job_ids in by_owner.items()))
        return shown, unanswered

    def _count_miss(self, job_id: str, answer: _Answer) -> None:
        """Publish that a job is gone, if no source knew it after two queries in a row."""
        job = self._jobs.get(job_id)
        if job is None:
            return
        now = asyncio.get_running_loop().time()
        if job.missing_since is None:
            job.missing_since = now
        job.misses += 1
        # A job that we have cancelled may never have run, and then there is no record of it.
        delay = 0.0 if job.is_cancelled else self._accounting_delay_s
        wait = SOURCE_TIMEOUT_S if answer is _Answer.NONE else delay
        if now - job.missing_since < wait:
            return
        if job.misses >= _MISSES_UNTIL_GONE:
            gone = JobInfo(job_id, JobState.UNKNOWN, reason="no trace of it", gone=True)
            self._jobs.publish(job_id, gone)
