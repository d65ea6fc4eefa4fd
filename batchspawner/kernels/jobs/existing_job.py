"""Kernels in a job that the user has made by other means: with salloc, or with a script."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

from ...concurrency import within
from ...errors import BatchError, OptionsError
from ...jobs import JobState
from ...processes import IDENTITY, begin, tool_environment
from .kernel_job import END_TIMEOUT_S, KernelJob, occurs

if TYPE_CHECKING:
    from ...allocation.allocation import Allocation
    from ...allocation.call_folder import CallFolder
    from ...client.batch_client import BatchClient
    from ...jobs import JobInfo

_QUERY_TIMEOUT_S = 15.0
"""How long a scheduler may take to report a job, or the reason of its end."""

_ENDING_TIMEOUT_S = 3.0
"""How long a scheduler may take to report that a job has begun to end."""


async def status_of(client: BatchClient, job_id: str) -> JobInfo:
    """Return the status of a job that waits or runs.

    Raises OptionsError if there is no such job, SchedulerError if the scheduler does not answer.
    """
    try:
        watch = client.watch(job_id, 1.0)
    except ValueError as error:
        raise OptionsError("jobid", job_id, str(error)) from error
    try:
        status = await within(_QUERY_TIMEOUT_S, watch.change())
    except asyncio.TimeoutError:
        raise watch.trouble or no_such_job(job_id) from None
    finally:
        watch.close()
    if status.is_final:
        raise no_such_job(job_id)
    return status


def no_such_job(job_id: str, what: str = "") -> OptionsError:
    """Return the error for a kernel.json that names a job which cannot be joined."""
    return OptionsError("jobid", job_id, f"no job of yours {what}has this id")


def agent_command(call: CallFolder, prologue: str) -> str:
    """Return the shell command that starts an agent as in a job of its own."""
    log = shlex.quote(str(call.seen_as / "log"))
    lines = [
        f". {shlex.quote(str(call.environment_file))}",
        prologue,
        f"exec {call.command} > {log} 2>&1",
    ]
    return shlex.join(("/bin/sh", "-c", "\n".join(lines)))


class ExistingJob(KernelJob):
    """A job that is not ours, with an agent of ours in it; the job outlives the agent.

    `argv` starts the agent, as soon as the job runs, and ends with it. `status` is that of the job
    at the beginning.
    """

    def __init__(
        self, allocation: Allocation, argv: tuple[str, ...], node: str, status: JobInfo
    ) -> None:
        super().__init__(allocation)
        self.node = node
        self._argv = argv
        self._running_agent: asyncio.Task[None] | None = None
        allocation.status = status
        self._status_changed(status)

    def _status_changed(self, status: JobInfo) -> None:
        super()._status_changed(status)
        if status.state is JobState.RUNNING and self._running_agent is None and self.is_open:
            self._running_agent = asyncio.ensure_future(self._run_agent())

    async def _run_agent(self) -> None:
        try:
            output = await self._agent_output()
        except BatchError as error:
            output = str(error)
        text = f"job {self.job_id} cannot be entered: {output}"
        if self.agent is not None:
            text = f"what held the kernels in job {self.job_id} was ended"
            if not self._released:
                await self._job_may_have_ended()
        if not self.ended.is_set():
            self.allocation.call.fail(BatchError(text))

    async def _job_may_have_ended(self) -> None:
        """Wait for the scheduler to report the end of the job, if it has ended."""
        self.allocation.suspect(1.0)
        if not await occurs(self.ended, _ENDING_TIMEOUT_S) and self._is_over():
            await occurs(self.ended, _QUERY_TIMEOUT_S)

    async def _agent_output(self) -> str:
        """Run the agent until it ends, and return what was printed meanwhile."""
        names = (*self.allocation.client.scheduler.tool_variables, *IDENTITY)
        process = await begin(self._argv, environment=tool_environment(names))
        try:
            _, output = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return output.decode(errors="replace").strip()

    async def _release(self) -> None:
        """End our agent; the job itself is for the user to end."""
        if self._running_agent is not None:
            if self.agent is not None:
                self._finish()
                await asyncio.wait([self._running_agent], timeout=END_TIMEOUT_S)
            self._running_agent.cancel()
            await asyncio.gather(self._running_agent, return_exceptions=True)
        self.ended.set()
