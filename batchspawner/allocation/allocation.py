"""A job that was submitted with an agent in it, followed to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.batch_client import BatchClient
from ..client.job_scripts import find_scheduler, job_request
from ..client.watch import IDLE_INTERVAL_S
from ..concurrency import in_background, within
from ..errors import BatchError, SchedulerError, failure_of
from ..private_folders import open_plain
from ..units import seconds
from .call_folder import CallFolder
from .job_environment import own_environment
from .job_origin import Origin
from .job_records import JobRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..client.watch import Watch
    from ..jobs import JobInfo
    from .agent_handle import AgentHandle
    from .listener import Listener

log = logging.getLogger(__name__)

_SILENT_INTERVAL_S = 5.0
"""How old the status of a job may become that has not called yet, or does not any more."""

_JOURNAL_INTERVAL_S = 0.3
"""Between two reads of the journal, if agents cannot connect."""

_LAST_FRAMES_TIMEOUT_S = 2.0
"""How long the last frames of an ended job may take to arrive."""

_LOG_TAIL_BYTES = 4096

_DOUBTFUL_CALL_TIMEOUT_S = 60.0
"""How long a job whose submit has failed may take to call, if it has begun all the same."""


class Allocation:
    """A job that runs agents: one, or one for each element of an array.

    Get it from `submit`. It watches the job: when that ends, everything that still waits for an
    agent or a program raises why. `on_status` is called with each new status of the job, and
    `status` is the last one. `quiet` is how many seconds pass before the scheduler is asked.
    """

    def __init__(
        self, client: BatchClient, call: CallFolder, job_id: str, *, quiet: float = 0.0
    ) -> None:
        self.client = client
        self.call = call
        self.job_id = job_id
        self.elements = 1
        self.status: JobInfo | None = None
        self.on_status: Callable[[JobInfo], None] = lambda _: None
        self._interval = _SILENT_INTERVAL_S
        self._watch: Watch | None = None
        self._doubted = asyncio.Event()
        self._ended: asyncio.Future[BatchError] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.ensure_future(self._follow(quiet))]

    @classmethod
    async def submit(
        cls,
        client: BatchClient,
        listener: Listener | None,
        *,
        front_end: str,
        name: str,
        call: CallFolder | None = None,
        folders: Sequence[str] | None = None,
        variables: Mapping[str, object] | None = None,
        quiet: float = 0.0,
        elements: int = 1,
        origin: Origin | None = None,
        group: str = "",
        **resources: Any,
    ) -> Allocation:
        """Submit a job whose script runs the agent of a call, a new one by default.

        Without a listener, agents and driver communicate through files. The scheduler is not asked
        about the job in its first `quiet` seconds, unless it becomes silent in them. More than one
        of `elements` make an array; each has an agent of its own. `origin` is by default that of
        what this process does, and `group` the executor whose workers the job runs; both are for
        its record. `resources` are those of `job_scripts.job_request`. Raises SubmitError,
        SchedulerUnavailable, OptionsError or TemplateError.
        """
        if call is None:
            call = new_call(resources.get("runtime"))
        try:
            if listener is not None:
                listener.expect(call)
            request = job_request(
                client.scheduler,
                call.command,
                front_end=front_end,
                name=name,
                log=str(call.seen_as / "log"),
                folders=folders,
                variables={**(variables or {}), "environment_file": str(call.environment_file)},
                elements=elements,
                **resources,
            )
            await call.deliver()
            job_id = await client.submit(request)
        except SchedulerError as error:
            # A short job may have ended before its submit has failed; it is not found any more.
            job_id = call.job_that_called() if elements == 1 else ""
            if not job_id:
                call.remove()
                in_background(_end_if_it_calls(call))
                raise
            log.warning("Job %s has begun, although its submit ended so: %s", job_id, error)
        except BaseException:
            call.close()
            raise
        if call.is_here:
            JobRecord(
                call.folder,
                client.scheduler.name,
                job_id,
                front_end,
                name,
                origin=origin or Origin.here(),
                group=group,
            ).write()
        self = cls(client, call, job_id, quiet=quiet)
        self.elements = elements
        if listener is None:
            self._tasks.append(asyncio.ensure_future(self._read_journal()))
        return self

    async def next_agent(self) -> AgentHandle:
        """Wait for the next agent that calls. Raises why the job ended, if it ends before that."""
        agent = await self.call.next_agent()
        self._set_interval(IDLE_INTERVAL_S)
        agent.on_silent = self.suspect
        return agent

    def element_of(self, agent: AgentHandle) -> str:
        """Return the id of the job, or of the element of an array, in which an agent runs."""
        if self.elements == 1 or not agent.index:
            return self.job_id
        return self.client.scheduler.element(self.job_id, agent.index)

    async def ended(self) -> BatchError:
        """Wait for the end of the job; return an error that describes it, even if it succeeded."""
        return await asyncio.shield(self._ended)

    async def cancel(self) -> None:
        """Cancel the job. Raises SchedulerError if the scheduler did not do it."""
        await self.client.cancel(self.job_id)
        self.suspect()

    def suspect(self, interval: float = _SILENT_INTERVAL_S) -> None:
        """Query the scheduler soon, and each `interval` seconds: the job may have ended."""
        self._set_interval(interval)
        self._doubted.set()
        if self._watch is not None:
            self._watch.hurry()

    async def renewed(self) -> JobInfo:
        """Query the scheduler, and return the status as of a query sent after this call."""
        watch = self.client.watch(self.job_id, self._interval)
        try:
            self.status = await watch.renewed()
        finally:
            watch.close()
        return self.status

    def _set_interval(self, seconds: float) -> None:
        self._interval = seconds
        if self._watch is not None:
            self._watch.interval = seconds

    def log_tail(self) -> str:
        """Return the last lines of what the job printed, empty if there are none."""
        with contextlib.suppress(OSError), open_plain(self.call.folder / "log") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
        return ""

    async def close(self, *, remove: bool = True) -> None:
        """Stop watching; the job goes on if it has not ended. By default remove its folder."""
        if self._watch is not None:
            self._watch.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.call.close(remove=remove)

    async def _follow(self, quiet: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await within(quiet, self._doubted.wait())
        watch = self._watch = self.client.watch(self.job_id, self._interval)
        seen: JobInfo | None = None
        while seen is None or not seen.is_final:
            seen = self.status = await watch.change(seen)
            self.on_status(seen)
        await self._wait_for_last_frames()
        await self.call.gather()
        error = failure_of(seen, self.log_tail())
        error = error or BatchError(f"job {self.job_id} has ended")
        self.call.fail(error)
        self._ended.set_result(error)

    async def _wait_for_last_frames(self) -> None:
        """Wait until the connections of all agents are closed."""
        until = asyncio.get_running_loop().time() + _LAST_FRAMES_TIMEOUT_S
        while asyncio.get_running_loop().time() < until:
            if not any(agent.online.is_set() for agent in self.call.agents.values()):
                return
            await asyncio.sleep(0.05)

    async def _read_journal(self) -> None:
        while True:
            self.call.read_journal()
            await asyncio.sleep(_JOURNAL_INTERVAL_S)


async def _end_if_it_calls(call: CallFolder) -> None:
    """End the agents of a job whose submit has failed, if it has begun all the same.

    One that has not begun ends by itself, because it does not find its folder.
    """
    with contextlib.suppress(asyncio.TimeoutError):
        await within(_DOUBTFUL_CALL_TIMEOUT_S, _end_all_that_call(call))
    call.close()


async def _end_all_that_call(call: CallFolder) -> None:
    while True:
        agent = await call.next_agent()
        for process in agent.processes.values():
            process.send_signal(signal.SIGKILL)
        agent.finish()
        await agent.done()


def new_call(runtime: object = None, **settings: Any) -> CallFolder:
    """Create a call whose job starts with our own environment, in our working directory."""
    walltime = float(seconds("runtime", str(runtime))) if runtime else None
    defaults = {"environment": own_environment(), "cwd": str(Path.cwd()), "runtime": walltime}
    return CallFolder.create(**{**defaults, **settings})


def client_for(scheduler: str = "auto") -> BatchClient:
    """Return a client of this machine's scheduler. Raises LookupError for an unknown name."""
    return BatchClient(find_scheduler(scheduler))
