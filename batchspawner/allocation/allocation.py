"""Submit a job that has an agent in it, and know what becomes of both."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.batch_client import BatchClient
from ..client.job_scripts import find_scheduler, job_request
from ..client.watch import IDLE_INTERVAL_S
from ..concurrency import within
from ..errors import BatchError, failure_of
from ..units import seconds
from .call_folder import CallFolder
from .job_environment import own_environment
from .job_records import JobRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..client.watch import Watch
    from ..jobs import JobInfo
    from .agent_handle import AgentHandle
    from .listener import Listener

_ATTENTIVE = 5.0
"""Seconds between two looks at a job that has not called yet, or does not any more."""

_POST = 0.3
"""Seconds between two looks into the journal, where there is no other way."""

_FAREWELL = 2.0
"""Seconds that the last frames of an ended job may need to arrive."""

_TAIL = 4096
"""Bytes of a job's log that go into an error."""


class Allocation:
    """Stand for a job that runs agents: one, or one for each element.

    Make it by `submit`. It watches the job: when that ends, whatever still waits for it hears
    why. `on_status` is called with each news of the scheduler.
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
        self._interval = _ATTENTIVE
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
        **resources: Any,
    ) -> Allocation:
        """Submit a job whose script runs the agent of a call, a new one by default.

        Without a listener, agents and driver speak through files. The scheduler is not asked about
        the job in its first `quiet` seconds, unless it falls silent in them. More than one of
        `elements` make an array, each with an agent of its own. `resources` are those of
        `scripts.job_request`. Raises SubmitError, SchedulerUnavailable, OptionsError or
        TemplateError.
        """
        if call is None:
            call = new_call(resources.get("runtime"))
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
        try:
            await call.deliver()
            job_id = await client.submit(request)
        except BaseException:
            call.close()
            raise
        if call.is_here:
            JobRecord(call.folder, client.scheduler.name, job_id, front_end, name).write()
        self = cls(client, call, job_id, quiet=quiet)
        self.elements = elements
        if listener is None:
            self._tasks.append(asyncio.ensure_future(self._read_post()))
        return self

    async def next_agent(self) -> AgentHandle:
        """Wait for the next agent that calls. Raises why the job ended, where it did before."""
        agent = await self.call.next_agent()
        self._look_every(IDLE_INTERVAL_S)
        agent.on_silent = self.suspect
        return agent

    def element_of(self, agent: AgentHandle) -> str:
        """Return the id of the job, or of the element of the array, that an agent runs in."""
        if self.elements == 1 or not agent.index:
            return self.job_id
        return self.client.scheduler.element(self.job_id, agent.index)

    async def ended(self) -> BatchError:
        """Wait for the end of the job, and return what there is to say of it."""
        return await asyncio.shield(self._ended)

    async def cancel(self) -> None:
        """Cancel the job. Raises SchedulerError where that was not possible."""
        await self.client.cancel(self.job_id)
        self.suspect()

    def suspect(self, interval: float = _ATTENTIVE) -> None:
        """Have the scheduler asked: the job is silent, where it should not be."""
        self._look_every(interval)
        self._doubted.set()
        if self._watch is not None:
            self._watch.hurry()

    async def renewed(self) -> JobInfo:
        """Have the scheduler asked, and return what it says from now on, not what it said."""
        watch = self.client.watch(self.job_id, self._interval)
        try:
            self.status = await watch.renewed()
        finally:
            watch.close()
        return self.status

    def _look_every(self, seconds: float) -> None:
        self._interval = seconds
        if self._watch is not None:
            self._watch.interval = seconds

    def log_tail(self) -> str:
        """Return the last lines of what the job printed."""
        with contextlib.suppress(OSError), (self.call.folder / "log").open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            return file.read().decode(errors="replace").strip()
        return ""

    async def close(self, *, remove: bool = True) -> None:
        """Stop to watch; the job goes on if it has not ended."""
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
        await self._hear_out()
        await self.call.gather()
        error = failure_of(seen, self.log_tail())
        error = error or BatchError(f"job {self.job_id} has ended")
        self.call.fail(error)
        self._ended.set_result(error)

    async def _hear_out(self) -> None:
        """Let what the agents said last arrive."""
        until = asyncio.get_running_loop().time() + _FAREWELL
        while asyncio.get_running_loop().time() < until:
            if not any(agent.online.is_set() for agent in self.call.agents.values()):
                return
            await asyncio.sleep(0.05)

    async def _read_post(self) -> None:
        while True:
            self.call.read_journal()
            await asyncio.sleep(_POST)


def new_call(runtime: object = None, **settings: Any) -> CallFolder:
    """Make a call whose job begins with our own environment, in our folder."""
    walltime = float(seconds("runtime", str(runtime))) if runtime else None
    beginning = {"environment": own_environment(), "cwd": str(Path.cwd()), "runtime": walltime}
    return CallFolder.create(**{**beginning, **settings})


def client_for(scheduler: str = "auto") -> BatchClient:
    """Return a client of this machine's scheduler. Raises LookupError for an unknown name."""
    return BatchClient(find_scheduler(scheduler))
