"""Submit, query, cancel, signal and wait: all that a front end asks of a scheduler."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..commands import Command
from ..errors import SchedulerError, SchedulerUnavailable
from ..runners import LocalRunner, ask
from ..schedulers import scheduler_class
from .shared_monitors import shared_monitor
from .watch import CALM

if TYPE_CHECKING:
    from ..commands import CommandResult
    from ..jobs import JobInfo, JobRequest, TaggedJob
    from ..runners import Runner
    from ..schedulers.base import Scheduler
    from .watch import Watch

log = logging.getLogger(__name__)

_SEARCHES = (1.0, 2.0, 5.0)
"""Seconds before each search for a job whose submit gave no answer."""

_SOON = 1.0
"""Seconds, at the beginning, until the end of a job that somebody waits for is noticed."""

_EAGER = 10
"""How many times the status of such a job may be asked for before the pauses are doubled."""

_LEAVE = """
set -e
umask 077
mkdir -p "$1"
chmod 700 "$1"
rm -f "$1/$2.new"
cat > "$1/$2.new"
mv -f "$1/$2.new" "$1/$2"
"""


class BatchClient:
    """Speak with one scheduler from code that can await.

    `runner` submits, cancels and signals, as the owner of the jobs. `query_runner` lists; where
    the scheduler shows every user's jobs to anybody it can be one for all users, and all clients
    with the same one share its queries. `floor` is how many seconds, on average, are between two
    queries at least; less than the scheduler's own has no effect.
    """

    floor = 0.0

    def __init__(
        self,
        scheduler: Scheduler | str,
        runner: Runner | None = None,
        query_runner: Runner | None = None,
    ) -> None:
        if isinstance(scheduler, str):
            scheduler = scheduler_class(scheduler)()
        self.scheduler = scheduler
        self.runner: Runner = runner or LocalRunner()
        self.query_runner: Runner = query_runner or self.runner

    async def submit(self, request: JobRequest) -> str:
        """Hand over a job once, and return its id.

        Where the scheduler gave no answer, the job is looked for by its tag. Raises SubmitError
        where it was refused, SchedulerUnavailable where nobody knows whether it exists.
        """
        try:
            return await self._hand_over(request)
        except SchedulerUnavailable:
            found = await self._search(request.tag)
            if found is None:
                raise
            log.warning("Found job %s, whose submit had given no answer", found)
            return found

    async def leave(self, folder: str, name: str, text: str) -> None:
        """Write a file that only the owner of the jobs can read, in a folder that is his alone.

        A file of this name is replaced. Raises SchedulerError where it cannot be written.
        """
        call = Command(("sh", "-c", _LEAVE, "sh", folder, name), _left, text)
        await ask(self.scheduler, call, self.runner)

    async def find(self, tag: str) -> list[str]:
        """Return the ids of our waiting and running jobs that carry this tag."""
        return await ask(self.scheduler, self.scheduler.find(tag), self.runner)

    async def tagged(self) -> list[TaggedJob]:
        """Return everybody's jobs that may carry a tag, nothing where there is no such listing."""
        call = self.scheduler.tagged()
        return [] if call is None else await ask(self.scheduler, call, self.query_runner)

    async def cancel(self, job_id: str) -> None:
        """End a job, waiting or running; one that has ended already is no error.

        Raises SchedulerError where the scheduler did not do it.
        """
        await ask(self.scheduler, self.scheduler.cancel(job_id), self.runner)

    async def signal(self, job_id: str, number: int) -> None:
        """Send a signal to a running job. Raises SchedulerError where that failed."""
        await ask(self.scheduler, self.scheduler.signal(job_id, number), self.runner)

    async def log_tail(self, job_id: str) -> str:  # noqa: ARG002
        """Return the end of a job's log where something shows it to us, else nothing.

        Raises SchedulerError where there is none to show.
        """
        return ""

    def watch(self, job_id: str, interval: float = CALM) -> Watch:
        """Follow a job's status, at most `interval` seconds old, in the shared query."""
        monitor = shared_monitor(self.scheduler, self.query_runner)
        monitor.keep_floor(self.floor)
        return monitor.watch(job_id, interval, owner=self.runner)

    async def status(self, job_id: str) -> JobInfo:
        """Return what the scheduler's next answer says about a job."""
        watch = self.watch(job_id)
        try:
            return await watch.change()
        finally:
            watch.close()

    async def wait(self, job_id: str, interval: float | None = None) -> JobInfo:
        """Wait until a job has ended, and return how.

        `interval` is how old, in seconds, what is known may become. Without it that is little at
        first, and more the longer the job takes.
        """
        watch = self.watch(job_id, _SOON if interval is None else interval)
        patience = asyncio.ensure_future(_grow(watch)) if interval is None else None
        try:
            return await watch.until(lambda status: status.is_final)
        finally:
            if patience is not None:
                patience.cancel()
            watch.close()

    async def _hand_over(self, request: JobRequest) -> str:
        return await ask(self.scheduler, self.scheduler.submit(request), self.runner)

    async def _search(self, tag: str) -> str | None:
        for pause in _SEARCHES if tag else ():
            await asyncio.sleep(pause)
            try:
                found = await self.find(tag)
            except SchedulerError as error:
                log.info("Cannot look for the job with tag %s yet: %s", tag, error)
                continue
            if found:
                return found[0]
        return None


async def _grow(watch: Watch) -> None:
    while watch.interval < CALM:
        await asyncio.sleep(_EAGER * watch.interval)
        watch.interval = min(2 * watch.interval, CALM)


def _left(result: CommandResult) -> None:
    if not result.ok:
        raise SchedulerError("The file could not be written.", result)
