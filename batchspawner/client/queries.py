"""The commands that ask one scheduler about jobs, counted for the metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import ParseError, SchedulerError, SchedulerUnavailable
from ..runners import ask

if TYPE_CHECKING:
    from ..jobs import JobInfo
    from ..runners import Runner
    from ..schedulers.base import Listing, Scheduler

log = logging.getLogger(__name__)


class Queries:
    """What a scheduler is asked about jobs.

    `listings` counts the commands that listed jobs, `confirmations` those that asked about one
    job because a listing did not show how it ended.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.listings = self.confirmations = 0
        self._scheduler = scheduler

    async def listing(self, job_ids: list[str], runner: Runner) -> dict[str, JobInfo]:
        """Return the status of each of these jobs that the scheduler lists.

        Raises SchedulerError, which says nothing about any job.
        """
        found: dict[str, JobInfo] = {}
        for command in self._scheduler.query(job_ids):
            self.listings += 1
            listing: Listing = await ask(self._scheduler, command, runner)
            found.update(listing)
        return found

    async def confirm(self, job_id: str, runner: Runner) -> JobInfo | None:
        """Return what a second source, such as accounting, says of a job, None if none knows it.

        Raises SchedulerUnavailable if a source does not answer and no other knows the job, and
        another SchedulerError if a source cannot tell: it is not there, not configured, not
        allowed, or has a record that cannot be read.
        """
        trouble: SchedulerError | None = None
        for command in self._scheduler.confirm(job_id):
            self.confirmations += 1
            try:
                status = await ask(self._scheduler, command, runner)
            except SchedulerError as error:
                if trouble is None or isinstance(error, SchedulerUnavailable):
                    trouble = error
            except Exception as error:
                # The record of one job, which must not end the query of all others.
                log.exception("Cannot read the answer of %s about job %s", command.argv[0], job_id)
                trouble = trouble or ParseError(f"{type(error).__name__}: {error}")
            else:
                if status is not None:
                    return status
        if trouble is not None:
            raise trouble
        return None
