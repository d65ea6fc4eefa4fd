"""The jobs that a monitor watches, each with the watches of those who follow it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..jobs import JobInfo, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..runners import Runner
    from .watch import Watch

log = logging.getLogger(__name__)


class WatchedJob:
    """One job, with its watches and with what queries have shown about it.

    `misses` counts the queries in a row after which no source knew the job, and `missing_since`
    is when the first of them was answered, by the event loop's clock; None if the last listing
    showed the job. `alive_at` is when the job is known to have been waiting or running, in seconds
    since the epoch, None if that is not known. `is_hidden` is true if only the owner's own listing
    shows it, `is_cancelled` if the scheduler has accepted our own order to cancel it. `asked` is
    when the last query about it was sent that has been answered, by the event loop's clock.
    """

    __slots__ = (
        *("alive_at", "asked", "is_cancelled", "is_hidden", "misses", "missing_since"),
        "watches",
    )

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.asked = float("-inf")
        self.misses = 0
        self.missing_since: float | None = None
        self.alive_at: float | None = None
        self.is_hidden = self.is_cancelled = False

    @property
    def status(self) -> JobInfo | None:
        return self.watches[0].status

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended, as far as is known."""
        status = self.status
        return status is not None and status.is_final

    @property
    def due(self) -> float:
        """When the job has to be asked about again, by the event loop's clock."""
        return self.asked + min(watch.interval for watch in self.watches)


class WatchedJobs:
    """All watched jobs of one monitor, by their ids.

    `newest` is when the last job was added of which nothing is known yet, by the monitor's clock.
    """

    def __init__(self, title: str, runner: Runner) -> None:
        self.newest = float("-inf")
        self._title, self._runner = title, runner
        self._jobs: dict[str, WatchedJob] = {}
        # How many watches request which interval: thousands of them request very few.
        self._intervals: Counter[float] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str) -> WatchedJob | None:
        """Return a job, or None if nobody watches it (any more)."""
        return self._jobs.get(job_id)

    def watches(self) -> list[Watch]:
        """Return the watches of all jobs."""
        return [watch for job in self._jobs.values() for watch in job.watches]

    def unfinished(self) -> list[str]:
        """Return the ids of the jobs that have not ended, as far as is known."""
        return [job_id for job_id, job in self._jobs.items() if not job.has_ended]

    def due(self, moment: float) -> list[str]:
        """Return the ids of those of which news is due at this moment."""
        jobs = self._jobs.items()
        return [job_id for job_id, job in jobs if not job.has_ended and job.due <= moment]

    def note_asked(self, job_ids: Iterable[str], moment: float) -> None:
        """Note that a query about these jobs was sent at this moment, and has been answered."""
        for job_id in job_ids:
            # One that was watched again while the query ran is for the next one.
            if (job := self._jobs.get(job_id)) and job.watches[0].since <= moment:
                job.asked = moment

    def owner_name(self) -> str:
        """Return the name of the user to whom all jobs belong; empty if that is not known."""
        names = {watch.owner_name for job in self._jobs.values() for watch in job.watches[:1]}
        return names.pop() if len(names) == 1 else ""

    def statuses(self) -> list[JobInfo]:
        """Return what is known of each job."""
        jobs = list(self._jobs.values())
        return [job.status for job in jobs if job.status is not None]

    @property
    def shortest_interval(self) -> float:
        """The shortest interval that a watch requests, in seconds."""
        return min(self._intervals)

    def add(self, watch: Watch) -> None:
        """Add a watch, which gets the status that other watches of the job have."""
        job = self._jobs.setdefault(watch.job_id, WatchedJob())
        if job.watches:
            watch.status = job.status
        job.alive_at = job.alive_at or watch.submitted_at
        job.watches.append(watch)
        self._intervals[watch.interval] += 1
        if watch.status is None:
            self.newest = watch.since

    def remove(self, watch: Watch) -> None:
        """Remove a watch, and its job with the last one."""
        job = self._jobs.get(watch.job_id)
        if job is None or watch not in job.watches:
            return
        job.watches.remove(watch)
        self._release(watch.interval)
        if not job.watches:
            del self._jobs[watch.job_id]

    def change_interval(self, watch: Watch, before: float) -> bool:
        """Count the new interval of a watch; return whether the watch is one of these."""
        job = self._jobs.get(watch.job_id)
        if job is None or watch not in job.watches:
            return False
        self._release(before)
        self._intervals[watch.interval] += 1
        return True

    def _release(self, interval: float) -> None:
        self._intervals[interval] -= 1
        if not self._intervals[interval]:
            del self._intervals[interval]

    def watched_since(self, job_id: str, moment: float) -> bool:
        """Return whether a job has been watched from this moment on, and still is."""
        job = self._jobs.get(job_id)
        return job is not None and job.watches[0].since <= moment

    def owner(self, job_id: str) -> Runner | None:
        """Return who runs commands as the job's owner, None if that is nobody but we."""
        job = self._jobs.get(job_id)
        owners = [watch.owner for watch in job.watches if watch.owner] if job else []
        return owners[0] if owners and owners[0] != self._runner else None

    def publish(self, job_id: str, status: JobInfo) -> None:
        """Give a new status to all watches of a job."""
        job = self._jobs.get(job_id)
        before = job.status if job else None
        is_unknown = status.state is JobState.UNKNOWN and not status.gone
        # Once for each such state, not in each round.
        if is_unknown and (before is None or before.native != status.native):
            log.warning(
                "%s reports the state %r of job %s, which does not tell whether it runs; "
                "the job is assumed to be alive",
                self._title,
                status.native,
                job_id,
            )
        if job is not None:
            job.misses, job.missing_since = 0, None
            if not status.is_final:
                job.alive_at = time.time()
            for watch in job.watches:
                watch.update(status)
