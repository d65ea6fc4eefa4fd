"""Put kernels into a job that somebody else has made: with salloc, or with a script."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from ...concurrency import within
from ...errors import BatchError, OptionsError
from ...jobs import JobState
from ...runners import IDENTITY, begin, tool_environment
from .kernel_job import FAREWELL, KernelJob, happens

if TYPE_CHECKING:
    from ...allocation.allocation import Allocation
    from ...allocation.call_folder import CallFolder
    from ...client.batch_client import BatchClient
    from ...jobs import JobInfo

_EXPLANATION = 15.0
"""Seconds that a scheduler may take to say whether a job lives, or why it does not."""

_DOUBT = 3.0
"""Seconds in which a scheduler knows that a job has begun to end."""


async def status_of(client: BatchClient, job_id: str) -> JobInfo:
    """Return what the scheduler says of a job that waits or runs.

    Raises OptionsError where it does not, SchedulerError where the scheduler does not answer.
    """
    try:
        watch = client.watch(job_id, 1.0)
    except ValueError as error:
        raise OptionsError("jobid", job_id, str(error)) from error
    try:
        status = await within(_EXPLANATION, watch.change())
    except asyncio.TimeoutError:
        raise watch.trouble or no_such_job(job_id) from None
    finally:
        watch.close()
    if status.is_final:
        raise no_such_job(job_id)
    return status


def no_such_job(job_id: str, what: str = "") -> OptionsError:
    """Return the error of a kernel.json that names a job which cannot be joined."""
    return OptionsError("jobid", job_id, f"no job of yours {what}has this id")


def beginning(call: CallFolder, prologue: str) -> str:
    """Return the shell command by which an agent begins as in a job of its own."""
    log = shlex.quote(str(call.seen_as / "log"))
    lines = [
        f". {shlex.quote(str(call.environment_file))}",
        prologue,
        f"exec {call.command} > {log} 2>&1",
    ]
    return shlex.join(("/bin/sh", "-c", "\n".join(lines)))


class ExistingJob(KernelJob):
    """Hold a job that is not ours, through an agent of our own in it; the job outlives it.

    `argv` starts the agent there and ends with it. That is done when the job runs; `status` says
    whether it does already.
    """

    def __init__(
        self, allocation: Allocation, argv: tuple[str, ...], node: str, status: JobInfo
    ) -> None:
        super().__init__(allocation)
        self.node = node
        self._argv = argv
        self._entering: asyncio.Task[None] | None = None
        allocation.status = status
        self._note(status)

    def _note(self, status: JobInfo) -> None:
        super()._note(status)
        if status.state is JobState.RUNNING and self._entering is None and self.is_open:
            self._entering = asyncio.ensure_future(self._enter())

    async def _enter(self) -> None:
        try:
            said = await self._stay()
        except BatchError as error:
            said = str(error)
        text = f"job {self.job_id} cannot be entered: {said}"
        if self.agent is not None:
            text = f"what held the kernels in job {self.job_id} was ended"
            if not self._released:
                await self._explained()
        if not self.ended.is_set():
            self.allocation.call.fail(BatchError(text))

    async def _explained(self) -> None:
        """Wait for what the scheduler says of the end of the job, if that has ended."""
        self.allocation.suspect(1.0)
        if not await happens(self.ended, _DOUBT) and self._is_over():
            await happens(self.ended, _EXPLANATION)

    async def _stay(self) -> str:
        """Run the agent until it ends, and return what was said meanwhile."""
        names = (*self.allocation.client.scheduler.tool_variables, *IDENTITY)
        process = await begin(self._argv, environment=tool_environment(names))
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return said.decode(errors="replace").strip()

    async def _release(self) -> None:
        """Take our agent back; the job is for its owner to end."""
        if self._entering is not None:
            if self.agent is not None:
                self._finish()
                await asyncio.wait([self._entering], timeout=FAREWELL)
            self._entering.cancel()
            await asyncio.gather(self._entering, return_exceptions=True)
        self.ended.set()
