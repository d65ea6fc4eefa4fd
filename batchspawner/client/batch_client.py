"""Submit, query, cancel, signal and wait: all that a front end asks of a scheduler."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..commands import Command
from ..errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from ..runners import LocalRunner, ask, own_name, query
from ..schedulers import scheduler_class
from .monitor import shared_monitor
from .watch import IDLE_INTERVAL_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..commands import CommandResult
    from ..jobs import JobInfo, JobRequest, TaggedJob
    from ..runners import Runner
    from ..schedulers.base import Scheduler
    from .watch import Watch

log = logging.getLogger(__name__)

_SEARCH_DELAYS_S = (1.0, 2.0, 5.0)
"""Before each search for a job whose submit had no answer."""

_FIRST_WAIT_INTERVAL_S = 1.0
"""How old the status of a job that somebody waits for may become, at first."""

_QUERIES_UNTIL_SLOWER = 10
"""How many times such a job is queried before that interval is doubled."""

_MAX_SUBMITTED = 10_000
"""Jobs of which a client remembers when it submitted them."""

_WRITE_PRIVATE_FILE = """
set -e
umask 077
mkdir -p "$1"
chmod 700 "$1"
rm -f "$1/$2.new"
cat > "$1/$2.new"
mv -f "$1/$2.new" "$1/$2"
"""


class BatchClient:
    """A client of one scheduler, for code that can await.

    `scheduler` is a scheduler or its name, such as ``"slurm"``. `runner` runs the commands that
    submit, cancel and signal, as the owner of the jobs; by default as the user of this process, on
    this machine. `query_runner` runs those that list jobs; if the scheduler shows every user's
    jobs to anybody, it can be one for all users: all clients in an event loop that have the same
    one share its queries. By default it is `runner`.

    `owner` is the name of the owner of the jobs, where `runner` is another user or machine.

    `minimum_interval` is how many seconds are between two queries at least, on average; a value
    below the scheduler's own has no effect.

    Every method that runs a command raises CommandNotFound if this machine lacks it, and
    SchedulerUnavailable if the scheduler does not answer; both are SchedulerErrors::

        client = BatchClient("slurm")
        job_id = await client.submit(JobRequest("#!/bin/sh\\nhostname\\n", tag="try-1"))
        status = await client.wait(job_id)
        print(status.describe(), status.exit_code)
    """

    minimum_interval = 0.0

    def __init__(
        self,
        scheduler: Scheduler | str,
        runner: Runner | None = None,
        query_runner: Runner | None = None,
        owner: str = "",
    ) -> None:
        if isinstance(scheduler, str):
            scheduler = scheduler_class(scheduler)()
        self.scheduler = scheduler
        self.runner: Runner = runner or LocalRunner()
        self.query_runner: Runner = query_runner or self.runner
        # When the last jobs were submitted, in seconds since the epoch.
        self._submitted: dict[str, float] = {}
        self._owner = owner or (own_name() if self.runner.is_this_user else "")

    async def submit(self, request: JobRequest) -> str:
        """Submit a job exactly once, and return its id.

        If the scheduler gives no answer, or one without an id, the job is searched for by its tag,
        for some seconds; once, if the submit failed and does not say that the job is not allowed.
        Raises SubmitError if the job was refused, and SchedulerUnavailable or ParseError if it is
        not known whether it exists; submit again only after `find` has returned nothing.
        """
        began = time.time()
        job_id = await self._submitted_or_found(request)
        self._submitted[job_id] = began
        while len(self._submitted) > _MAX_SUBMITTED:
            del self._submitted[next(iter(self._submitted))]
        return job_id

    def with_usual_options(self, request: JobRequest) -> JobRequest:
        """Return a request with the options that its user has set for all jobs, as for a submit."""
        if not self.runner.is_this_user:
            return request
        usual = self.scheduler.usual_options(os.environ, request)
        return replace(request, arguments=(*usual, *request.arguments))

    async def leave(self, folder: str, name: str, text: str) -> None:
        """Write a file (0600) as the owner of the jobs, in a folder (0700) made for it.

        A file of this name is replaced. Raises SchedulerError if it cannot be written.
        """
        argv = private_file_command(folder, name)
        await ask(self.scheduler, Command(argv, _check_written, text), self.runner)

    async def find(self, tag: str) -> list[str]:
        """Return the ids of our waiting and running jobs that were submitted with this tag.

        Raises SchedulerError.
        """
        everybodys = self.scheduler.tagged() if self.scheduler.finds_all and self._owner else None
        if everybodys is not None:
            jobs = await query(self.scheduler, everybodys, self.runner)
            return self._own(jobs, tag)
        found = await query(self.scheduler, self.scheduler.find(tag), self.runner)
        if not found and (elsewhere := self.scheduler.find_elsewhere(tag)):
            found = await query(self.scheduler, elsewhere, self.runner)
        return found

    def _own(self, jobs: Iterable[TaggedJob], tag: str) -> list[str]:
        """Return the ids of the owner's jobs with this tag."""
        return [
            job.job_id for job in jobs if job.owner == self._owner and tag in job.text.split("|")
        ]

    async def tagged(self) -> list[TaggedJob]:
        """Return all users' jobs that may carry a tag; empty if the scheduler has no such listing.

        Raises SchedulerError.
        """
        command = self.scheduler.tagged()
        return [] if command is None else await query(self.scheduler, command, self.query_runner)

    async def cancel(self, job_id: str) -> None:
        """Cancel a job, waiting or running; it is no error if the job has ended already.

        The job is still there when this returns: `wait` for its end. Raises ValueError for a text
        that is not a job id, SchedulerError if the scheduler did not do it.
        """
        await ask(self.scheduler, self.scheduler.cancel(job_id), self.runner)
        shared_monitor(self.scheduler, self.query_runner).note_cancelled(job_id)

    async def signal(self, job_id: str, number: int) -> None:
        """Send a signal, such as ``signal.SIGUSR1``, to a running job.

        Raises ValueError for a text that is not a job id, SchedulerError if it was not sent.
        """
        await ask(self.scheduler, self.scheduler.signal(job_id, number), self.runner)

    async def log_before(self) -> tuple[int, float]:
        """Return the size in bytes of the log that jobs share, and its time, before a job's submit.

        The time is in seconds since the epoch. Both are 0 if there is no log yet, or no way to look
        at it: this class has none; subclasses may.
        """
        return 0, 0.0

    async def log_tail(
        self,
        job_id: str,  # noqa: ARG002
        size: int = 0,  # noqa: ARG002
        changed_at: float = 0.0,  # noqa: ARG002
    ) -> str:
        """Return the end of a job's log, if there is a way to read it, else an empty text.

        What the log had before the job, by its size and time of then, is left out. This class has
        no way to read it; subclasses may. Raises SchedulerError if there is nothing to read.
        """
        return ""

    def watch(self, job_id: str, interval: float = IDLE_INTERVAL_S) -> Watch:
        """Follow a job in the query that all watched jobs share; close the watch in the end.

        Its status is at most `interval` seconds old while the scheduler answers. Must be called
        in a running event loop. Raises ValueError for a text that is not a job id.
        """
        monitor = shared_monitor(self.scheduler, self.query_runner)
        monitor.set_minimum_interval(self.minimum_interval)
        submitted_at = self._submitted.get(job_id)
        return monitor.watch(job_id, interval, self.runner, submitted_at, self._owner)

    async def status(self, job_id: str) -> JobInfo:
        """Return what the next answer of the scheduler says about a job.

        A scheduler that does not answer is queried until it does: there is no time limit. Raises
        ValueError for a text that is not a job id.
        """
        watch = self.watch(job_id)
        try:
            return await watch.change()
        finally:
            watch.close()

    async def wait(self, job_id: str, interval: float | None = None) -> JobInfo:
        """Wait until a job has ended, and return its last status, whose `state` says how.

        `interval` is how old the status may become, in seconds. By default it starts at 1 second
        and grows to 30 while the job runs. There is no time limit. Raises ValueError for a text
        that is not a job id; a job that failed raises nothing (see `errors.failure_of`).
        """
        watch = self.watch(job_id, _FIRST_WAIT_INTERVAL_S if interval is None else interval)
        slowing_down = asyncio.ensure_future(_slow_down(watch)) if interval is None else None
        try:
            return await watch.until(lambda status: status.is_final)
        finally:
            if slowing_down is not None:
                slowing_down.cancel()
            watch.close()

    async def _submitted_or_found(self, request: JobRequest) -> str:
        try:
            return await self._submit_once(request)
        except (SchedulerUnavailable, ParseError) as error:
            failure: SchedulerError = error
            delays: Sequence[float] = _SEARCH_DELAYS_S
        except SubmitError as error:
            if self.scheduler.refused.search(error.result.text if error.result else error.message):
                raise
            failure, delays = error, _SEARCH_DELAYS_S[:1]
        found = await self._search(request.tag, delays)
        if found is None:
            raise failure
        log.warning("Found job %s, although its submit ended so: %s", found, failure)
        return found

    async def _submit_once(self, request: JobRequest) -> str:
        submit = self.scheduler.submit(self.with_usual_options(request))
        return await ask(self.scheduler, submit, self.runner)

    async def _search(self, tag: str, delays: Sequence[float]) -> str | None:
        for delay in delays if tag else ():
            await asyncio.sleep(delay)
            try:
                found = await self.find(tag)
            except SchedulerError as error:
                log.info("Cannot look for the job with tag %s yet: %s", tag, error)
                continue
            if found:
                return found[0]
        return None


def private_file_command(folder: str, name: str) -> tuple[str, ...]:
    """Return the command that writes its input to a file (0600) in a folder (0700)."""
    return ("sh", "-c", _WRITE_PRIVATE_FILE, "sh", folder, name)


async def _slow_down(watch: Watch) -> None:
    while watch.interval < IDLE_INTERVAL_S:
        await asyncio.sleep(_QUERIES_UNTIL_SLOWER * watch.interval)
        watch.interval = min(2 * watch.interval, IDLE_INTERVAL_S)


def _check_written(result: CommandResult) -> None:
    if not result.ok:
        raise SchedulerError("The file could not be written.", result)
