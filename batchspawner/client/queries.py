"""The commands that ask one scheduler about jobs, counted for the metrics."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import ParseError, SchedulerError, SchedulerUnavailable
from ..runners import query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..commands import Command, CommandResult
    from ..jobs import JobInfo
    from ..runners import Runner
    from ..schedulers.base import Listing, Scheduler

log = logging.getLogger(__name__)

_MAX_MOVES = 3
"""Places to which a job is followed that was moved from one to the next."""


_COMMAND_CHARS = 8000
"""Length of a listing that costs a scheduler about as much as one more command.

Slurm 22.05 takes 0.17 ms for a query of one job, and 46 ms to list 19,000 jobs in 100 characters
each: one command is about 70 jobs.
"""

_MAX_COMMANDS = 16
"""How many commands about single jobs may follow each other at once."""

_COMMANDS_PER_S = 1.0
"""How many of them there may be on average: Slurm's own limit for a user is 2 a second.

https://slurm.schedmd.com/slurm.conf.html#OPT_rl_refill_rate
"""


_REMEMBERED_S = 600.0
"""For how long the length of a listing of all jobs is taken to stay about the same."""


@dataclass
class Answer:
    """What the commands of one query have listed.

    `asked` are the jobs that they were about. `unanswered` are those of which the command had no
    answer, as those in a cluster that cannot be reached; `trouble` is the last error, and
    `succeeded` counts the commands without one.
    """

    asked: list[str] = field(default_factory=list)
    found: dict[str, JobInfo] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    trouble: SchedulerError | None = None
    succeeded: int = 0


class Queries:
    """What a scheduler is asked about jobs.

    `listings` counts the commands that listed jobs, `confirmations` those that asked about one
    job because a listing did not show how it ended. `clock` returns seconds.
    """

    def __init__(self, scheduler: Scheduler, clock: Callable[[], float]) -> None:
        self.listings = self.confirmations = 0
        self._scheduler = scheduler
        self._clock = clock
        # How long the last listing of all jobs was, and when; None if none has been read yet.
        self._all_chars: int | None = None
        self._all_read = 0.0
        self._owner_is_wrong = False
        self._budget = float(_MAX_COMMANDS)
        self._counted = clock()

    async def listing(
        self, job_ids: list[str], due: list[str], owner: str, runner: Runner
    ) -> Answer:
        """Return the status of each of the jobs that the scheduler lists.

        `due` are those of which news is due, which may be the only ones that are queried. `owner`
        is the name of the user to whom all of them belong, empty if there are several. What costs
        the scheduler least is chosen.

        Raises SchedulerError, which says nothing about any job, if no command succeeded.
        """
        if each := self._each(due, owner):
            return await self._run(Answer(due), each, runner)
        owned = None
        if owner and not self._owner_is_wrong:
            owned = self._scheduler.query_owner(owner, job_ids)
        if owned is None:
            return await self.listing_of_all(job_ids, runner)
        answer = await self._run(Answer(job_ids), [owned], runner)
        # Only a listing of all jobs tells that one is not there: it may be somebody else's.
        if missing := [job_id for job_id in job_ids if job_id not in answer.found]:
            others = await self.listing_of_all(missing, runner)
            self._owner_is_wrong = bool(others.found)
            answer.found.update(others.found)
            answer.unanswered, answer.trouble = others.unanswered, others.trouble
        return answer

    async def listing_of_all(self, job_ids: list[str], runner: Runner) -> Answer:
        """Return the status of each of the jobs that a listing of everybody's jobs shows.

        Raises SchedulerError, which says nothing about any job, if no command succeeded.
        """
        read: list[int] = []

        def counting(parse: Callable[[CommandResult], Listing]) -> Callable[..., Listing]:
            def parse_and_count(result: CommandResult) -> Listing:
                read.append(len(result.stdout))
                return parse(result)

            return parse_and_count

        commands = self._scheduler.query(job_ids)
        counted = [replace(one, parse=counting(one.parse)) for one in commands]
        answer = await self._run(Answer(job_ids), counted, runner)
        self._all_chars, self._all_read = sum(read), self._clock()
        return answer

    def _each(self, due: list[str], owner: str) -> Sequence[Command[Listing]]:
        """Return commands about the jobs that are due, none if a listing costs less."""
        now = self._clock()
        self._budget += (now - self._counted) * _COMMANDS_PER_S
        self._budget, self._counted = min(self._budget, _MAX_COMMANDS), now
        if len(due) > self._budget:
            return ()
        is_known = self._all_chars is not None and now < self._all_read + _REMEMBERED_S
        # One listing of all jobs tells how long it is, if there is no shorter one.
        if len(due) > 1 and not is_known and not owner:
            return ()
        commands = self._scheduler.query_each(due)
        if is_known and (len(commands) - 1) * _COMMAND_CHARS > (self._all_chars or 0):
            return ()
        self._budget -= len(commands)
        return commands

    async def _run(
        self, answer: Answer, commands: Sequence[Command[Listing]], runner: Runner
    ) -> Answer:
        """Add what these commands list to an answer.

        Raises SchedulerError if no command of the answer succeeded.
        """

        async def ask_one(command: Command[Listing]) -> None:
            self.listings += 1
            try:
                listing = await query(self._scheduler, command, runner)
            except SchedulerError as error:
                answer.trouble = error
                answer.unanswered.update(command.jobs or answer.asked)
            else:
                answer.found.update(listing)
                answer.succeeded += 1

        # At once: one that hangs until its timeout does not add up with others.
        await asyncio.gather(*map(ask_one, commands))
        if answer.trouble is not None and not answer.succeeded:
            raise answer.trouble
        return answer

    async def confirm(self, job_id: str, runner: Runner) -> JobInfo | None:
        """Return what a second source, such as accounting, says of a job, None if none knows it.

        Raises SchedulerUnavailable if a source does not answer and no other knows the job, and
        another SchedulerError if a source cannot tell: it is not there, not configured, not
        allowed, or has a record that cannot be read.
        """
        status = await self._first_answer(job_id, self._scheduler.confirm(job_id), runner)
        for _ in range(_MAX_MOVES):
            commands = self._scheduler.follow(status) if status else None
            if commands is None:
                return status
            try:
                status = await self._first_answer(job_id, commands, runner)
            except SchedulerError as error:
                log.info("The place to which job %s was moved does not answer: %s", job_id, error)
                return status
        return None

    async def _first_answer(
        self, job_id: str, commands: Sequence[Command[JobInfo | None]], runner: Runner
    ) -> JobInfo | None:
        """Return what the first source says that knows a job, None if none does.

        Raises SchedulerError as `confirm` does.
        """
        trouble: SchedulerError | None = None
        for command in commands:
            self.confirmations += 1
            try:
                status = await query(self._scheduler, command, runner)
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
