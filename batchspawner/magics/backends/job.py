"""Cells as batch jobs: the script runs under our agent, which sends its output."""

from __future__ import annotations

import asyncio
import io
import re
import shlex
import signal
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ...allocation.allocation import Allocation, new_call
from ...allocation.listener import Listener
from ...errors import BatchError
from ...jobs import JobInfo, JobState
from . import cleanup
from .base import Backend

if TYPE_CHECKING:
    from ...allocation.agent_handle import AgentHandle
    from ...allocation.call_folder import CallFolder
    from ...allocation.remote_process import RemoteProcess
    from ...client.batch_client import BatchClient
    from ...schedulers.base import Scheduler
    from ..record import CellRecord

_OWN_FOLDER = re.compile(r"-D|--chdir|-w?d|-cwd|--directory")
"""Options that set the folder of a job; without them it starts in the notebook's folder."""

# The cell arrives on standard input, so that nothing in it is changed on the way, and becomes a
# file, so that its programs have a standard input of their own. The file loses its name at once:
# a scheduler may kill all of a job's processes, and then nobody would be left to remove it.
_START = 'cat >"$0/cell" && exec 3<"$0/cell" && rm -rf "$0" && exec "$@" /dev/fd/3 </dev/null'


class JobBackend(Backend):
    """A job that runs the cell, or an array of jobs that run it each."""

    def __init__(self, client: BatchClient, shell: str, arguments: tuple[str, ...] = ()) -> None:
        self.client = client
        self.title = client.scheduler.name
        self.shell = shell
        self.arguments = arguments
        self._allocation: Allocation | None = None
        self._processes: dict[AgentHandle, RemoteProcess] = {}
        self._code: int | None = None
        self._cancelled = False

    async def run(self, script: bytes, record: CellRecord) -> None:
        self._settled = asyncio.Event()
        call = self._call()
        self._allocation = allocation = await Allocation.submit(
            self.client,
            await _listener(),
            front_end="magics",
            name="cell",
            call=call,
            arguments=self.arguments,
            options="\n".join(directives(self.client.scheduler, script)),
        )
        self.ident = allocation.job_id
        cleanup.record_owner(allocation)
        cleanup.remove_stale_folders(self.client)
        record.submitted(f"Submitted batch job {allocation.job_id}")
        allocation.on_status = lambda status: self._update(status, record)
        accepting = asyncio.ensure_future(self._accept(allocation, script, record))
        ending = asyncio.ensure_future(allocation.ended())
        settling = asyncio.ensure_future(self._settled.wait())
        try:
            if self._cancelled:
                await allocation.cancel()
            await asyncio.wait([ending, settling], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await accepting
            record.update(self._final(allocation, record))
        finally:
            for task in (accepting, ending, settling):
                task.cancel()
            cleanup.close_when_ended(allocation)

    async def cancel(self, *, now: bool) -> None:
        self._cancelled = True
        if self._allocation is None:
            return
        if now:
            for process in self._processes.values():
                process.send_signal(signal.SIGKILL)
        await self._allocation.cancel()

    def end_message(self, status: JobInfo) -> str:
        if status.state is not JobState.FAILED:
            status = replace(status, signal=None, exit_code=None)
        _, _, details = status.describe().partition(" (")
        reason = f" ({details}" if details else ""
        if status.gone:
            reason = " (no trace of it is left)"
        return f"End batch job {self.ident} Status:  {status.state.name}{reason}"

    def _call(self) -> CallFolder:
        settings = {}
        if any(_OWN_FOLDER.fullmatch(one.partition("=")[0]) for one in self.arguments):
            settings["cwd"] = ""
        return new_call(**settings)

    async def _accept(self, allocation: Allocation, script: bytes, record: CellRecord) -> None:
        """Run the cell under each agent that connects, until the job has ended."""
        running = set()
        with suppress(BatchError):
            while True:
                agent = await allocation.next_agent()
                running.add(asyncio.ensure_future(self._serve(agent, script, record)))
        await asyncio.gather(*running)

    def _element(self, agent: AgentHandle) -> str:
        """Return the index of the array's element that an agent runs; empty outside of arrays."""
        asked = any(one.startswith(("--array", "-queue")) for one in self.arguments)
        lone = self.client.scheduler.numbers_lone_jobs and not asked
        return "" if lone else agent.index

    async def _serve(self, agent: AgentHandle, script: bytes, record: CellRecord) -> None:
        record.update(JobInfo(self.ident, JobState.RUNNING, host=agent.host))
        index = self._element(agent)
        source = record.source(index)
        # If the scheduler ends the job, or knows of more elements, it has to report the end.
        ask_scheduler = bool(index)

        def signalled(_: int) -> None:
            nonlocal ask_scheduler
            ask_scheduler = True

        agent.on_signal = signalled
        with suppress(BatchError):
            # With a file, the agent makes a folder, and removes it when the cell has ended.
            argv = ["sh", "-c", _START, "{folder}", *shlex.split(self.shell)]
            process = agent.begin(argv, stdin=script, files={"cell": ""})
            self._processes[agent] = process
            async for stream, data in process.output():
                source.write(stream, data)
            code = await process.wait()
            agent.finish(fail_job=True)
            if process.error:
                source.write("stderr", f"{agent.host}: {process.error}\n".encode())
            self._code = code if not self._code else self._code
            if not (ask_scheduler or self._cancelled or code < 0 or code > 128):
                self._settled.set()

    def _update(self, status: JobInfo, record: CellRecord) -> None:
        """Record what the scheduler reports of a job that has not ended."""
        agent = next(iter(self._processes), None)
        if status.is_final or self._settled.is_set() or (agent and status.state.is_waiting):
            return
        record.update(replace(status, host=agent.host) if agent else status)

    def _final(self, allocation: Allocation, record: CellRecord) -> JobInfo:
        """Return the last status of the job, from the scheduler and the agent."""
        status = allocation.status
        if status is None or not status.is_final:
            # The agent was faster.
            host = next(iter(self._processes)).host
            status = JobInfo(self.ident, JobState.COMPLETED, host=host)
        elif not self._processes:
            record.append("stderr", allocation.log_tail())
        if self._code and status.state in (JobState.COMPLETED, JobState.FAILED):
            number = -self._code if self._code < 0 else None
            code = self._code if self._code > 0 else None
            status = replace(
                status, state=JobState.FAILED, reason="", exit_code=code, signal=number
            )
        return status


def directives(scheduler: Scheduler, script: bytes) -> list[str]:
    """Return the scheduler's directives in a cell: those before its first command."""
    found = []
    for raw in io.BytesIO(script):
        line = raw.decode(errors="replace").rstrip("\n")
        if line.strip() and not line.startswith("#"):
            break
        prefix = next((one for one in scheduler.directives if line.startswith(one)), None)
        if prefix and line[len(prefix) :][:1].isspace():
            found.append(line)
    return found


_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[Listener]] = (
    WeakKeyDictionary()
)


async def _listener() -> Listener:
    """Return the one listener for all cells of this process."""
    loop = asyncio.get_running_loop()
    if loop not in _listeners:
        _listeners[loop] = asyncio.ensure_future(Listener.open())
    return await asyncio.shield(_listeners[loop])
