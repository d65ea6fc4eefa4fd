"""Run a cell as a batch job: its script runs under the agent, which tells all that it prints."""

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
    from ...allocation.agent_handle import AgentHandle, RemoteProcess
    from ...allocation.call_folder import CallFolder
    from ...client.batch_client import BatchClient
    from ...schedulers.base import Scheduler
    from ..record import CellRecord

_OWN_FOLDER = re.compile(r"-D|--chdir|-w?d|-cwd|--directory")
"""Options by which a job says where it begins; else it begins where the notebook is."""

# The cell arrives on standard input, so that nothing in it is changed on the way, and is put into
# a file, so that its programs have a standard input of their own.
_START = 'cat >"$0/cell" && exec "$@" "$0/cell" </dev/null'


class JobBackend(Backend):
    """Run a cell as a job of a scheduler, or as an array of jobs, of which each runs it."""

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
        cleanup.take_note(allocation)
        cleanup.sweep(self.client)
        record.accept(f"Submitted batch job {allocation.job_id}")
        allocation.on_status = lambda status: self._heard(status, record)
        accepting = asyncio.ensure_future(self._accept(allocation, script, record))
        ending = asyncio.ensure_future(allocation.ended())
        settling = asyncio.ensure_future(self._settled.wait())
        try:
            if self._cancelled:
                await allocation.cancel()
            await asyncio.wait([ending, settling], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await accepting
            record.tell(self._final(allocation, record))
        finally:
            for task in (accepting, ending, settling):
                task.cancel()
            cleanup.clean_up(allocation)

    async def cancel(self, *, now: bool) -> None:
        self._cancelled = True
        if self._allocation is None:
            return
        if now:
            for process in self._processes.values():
                process.send_signal(signal.SIGKILL)
        await self._allocation.cancel()

    def farewell(self, status: JobInfo) -> str:
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
        """Run the cell under each agent that calls, until the job has ended."""
        running = set()
        with suppress(BatchError):
            while True:
                agent = await allocation.next_agent()
                running.add(asyncio.ensure_future(self._serve(agent, script, record)))
        await asyncio.gather(*running)

    def _element(self, agent: AgentHandle) -> str:
        """Return which element of an array an agent runs; an empty text outside of arrays."""
        asked = any(one.startswith(("--array", "-queue")) for one in self.arguments)
        lone = self.client.scheduler.numbers_lone_jobs and not asked
        return "" if lone else agent.index

    async def _serve(self, agent: AgentHandle, script: bytes, record: CellRecord) -> None:
        record.tell(JobInfo(self.ident, JobState.RUNNING, host=agent.host))
        index = self._element(agent)
        source = record.source(index)
        # How the job ends is for the scheduler to say where it has a hand in it.
        doubtful = bool(index)

        def interfere(_: int) -> None:
            nonlocal doubtful
            doubtful = True

        agent.on_signal = interfere
        with suppress(BatchError):
            # The file is there for the folder, which goes when the cell has ended.
            argv = ["sh", "-c", _START, "{folder}", *shlex.split(self.shell)]
            process = agent.begin(argv, stdin=script, files={"cell": ""})
            self._processes[agent] = process
            async for stream, data in process.output():
                source.say(stream, data)
            code = await process.wait()
            agent.finish(fail_job=True)
            if process.error:
                source.say("stderr", f"{agent.host}: {process.error}\n".encode())
            self._code = code if not self._code else self._code
            if not (doubtful or self._cancelled or code < 0 or code > 128):
                self._settled.set()

    def _heard(self, status: JobInfo, record: CellRecord) -> None:
        """Take what the scheduler says of a job that has not ended."""
        agent = next(iter(self._processes), None)
        if status.is_final or self._settled.is_set() or (agent and status.state.is_waiting):
            return
        record.tell(replace(status, host=agent.host) if agent else status)

    def _final(self, allocation: Allocation, record: CellRecord) -> JobInfo:
        """Say how the job ended, from what the scheduler and what the agent have said of it."""
        status = allocation.status
        if status is None or not status.is_final:
            # The agent was faster.
            host = next(iter(self._processes)).host
            status = JobInfo(self.ident, JobState.COMPLETED, host=host)
        elif not self._processes:
            record.printed("stderr", allocation.log_tail())
        if self._code and status.state in (JobState.COMPLETED, JobState.FAILED):
            number = -self._code if self._code < 0 else None
            code = self._code if self._code > 0 else None
            status = replace(
                status, state=JobState.FAILED, reason="", exit_code=code, signal=number
            )
        return status


def directives(scheduler: Scheduler, script: bytes) -> list[str]:
    """Return the lines of a cell, before its first command, that are for the scheduler."""
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
