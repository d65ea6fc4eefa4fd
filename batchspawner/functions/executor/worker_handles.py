"""Speak with workers that run under agents, in jobs of any scheduler."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from ...agent.journal import append
from ...errors import BatchError, JobFailed, NodeFailed, failure_of
from ..job import FunctionJob
from ..protocol import worker
from ..protocol.payload import welcome
from .worker_providers import FROM_OUTSIDE, Tail, death, taken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ...allocation.agent_handle import AgentHandle, RemoteProcess
    from ...allocation.allocation import Allocation
    from ...allocation.call_folder import CallFolder
    from .job_workers import JobWorkerProvider

log = logging.getLogger(__name__)

FIRST = "first"
"""The worker that each agent starts by itself."""


class AgentWorkerHandle:
    """Speak with a worker through the agent of its job."""

    def __init__(
        self,
        crew: JobWorkerProvider,
        allocation: Allocation,
        agent: AgentHandle,
        *,
        is_first: bool = False,
    ) -> None:
        self._crew, self._allocation, self.agent = crew, allocation, agent
        self.element = allocation.element_of(agent)
        self.name = f"{self.element} on {agent.host}"
        self._call = allocation.call
        self.job: FunctionJob | None = FunctionJob(
            allocation.client, self._call.folder, allocation.job_id
        )
        self.job.element, self.job.started = self.element, True
        self._is_first = is_first
        self._process: RemoteProcess | None = None
        self._errors = Tail()
        self._warned = self._finished = self._greeted = False

    async def start(self) -> None:
        """Start the worker. Raises BatchError where that is not possible."""
        if self._is_first:
            self._process = self.agent.process(FIRST)
        else:
            python = str(self.agent.facts["executable"])
            argv, env = worker_command(python, self._call)
            self._process = self.agent.begin(argv, env=env)
        self.agent.on_signal = self._signalled
        self.agent.on_silent = self._silent
        # A large result lies in the folder, where that is ours, too.
        await self.send(welcome(str(self._call.folder) if self._call.is_here else None))

    @property
    def is_ending(self) -> bool:
        ends, began = self.agent.ends, float(self.agent.facts.get("began", 0))
        # A short job has some use, too.
        near = ends is not None and ends - time.time() < min(self._crew.margin, (ends - began) / 2)
        return near or self._warned or self.agent.over is not None

    async def send(self, data: bytes) -> None:
        if self._process is not None:
            self._process.write(data)
            await self.agent.drained()

    async def answers(self) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        buffer = bytearray()
        assert self._process is not None  # noqa: S101  (started before)
        async for stream, data in self._process.output():
            if stream == "stderr":
                self._errors.add(data)
                if not self._call.is_here:
                    self._keep(data)
                continue
            buffer += data
            for frame in taken(buffer):
                self._greet(frame[0])
                yield frame
        self._crew.left(self)

    def _keep(self, printed: bytes) -> None:
        """Write down what a worker prints whose log would lie elsewhere."""
        if self.job:
            self.job.log_name = f"output-{self.agent.id}"
            append(str(self.job.log_file), printed)

    def _greet(self, header: Mapping[str, Any]) -> None:
        self._greeted = True
        if header.get("log") and self.job:
            self.job.log_name = header["log"]

    async def ending(self) -> BaseException:
        assert self._process is not None  # noqa: S101
        try:
            code = await self._process.wait()
        except NodeFailed as error:
            return error
        except BatchError as error:
            return await self._verdict(error)
        died = death(self.name, code, self.log_tail())
        from_outside = code in FROM_OUTSIDE or self._warned
        if code == -signal.SIGKILL:
            from_outside = from_outside or await self._falls_silent()
        return await self._verdict(died) if from_outside else died

    async def _falls_silent(self) -> bool:
        """Say whether the job ends, too, or only its worker was killed."""
        for _ in range(20):
            if not self.agent.online.is_set():
                return True
            await asyncio.sleep(0.1)
        return False

    def finish(self) -> None:
        self._finished = True
        if self._process is not None:
            self._process.close_stdin()

    async def leave(self) -> None:
        self.finish()
        self.dismiss()
        await self.agent.done()

    def log_tail(self) -> str:
        printed = self.job.log_tail() if self.job else ""
        return "\n".join(filter(None, (printed, self._errors.text)))

    @property
    def may_go_on(self) -> bool:
        """Whether the job can have another worker in the place of this one."""
        alive = self._greeted and self.agent.online.is_set()
        return alive and not self._finished and not self.is_ending

    def dismiss(self) -> None:
        """Let the agent go."""
        if self.agent.over is None:
            self.agent.finish()

    def _signalled(self, number: int) -> None:
        self._warned = True
        log.info("%s got signal %d; it takes no more calls", self.name, number)

    def _silent(self) -> None:
        """Find out what became of the job, called when its agent says goodbye or is cut off."""
        if self._finished:
            return
        self._allocation.suspect()
        if self.element != self._allocation.job_id:
            self._crew.spawn(self._inquire())

    async def _inquire(self) -> None:
        """Watch one element of an array while its agent is silent: the others may live on."""
        watch = self._allocation.client.watch(self.element, 5.0)
        try:
            while not self.agent.online.is_set():
                status = await watch.change(watch.status)
                if status.is_final and not self.agent.online.is_set():
                    error = failure_of(status) or BatchError(f"job {self.element} has ended")
                    self.agent.ended(error)
                    return
        finally:
            watch.close()

    async def _verdict(self, error: BatchError) -> BaseException:
        """Return what the scheduler says of this job, or else what is known without it."""
        found = await self._crew.end_of(self._allocation, self.element)
        if found is None or type(found) in (BatchError, JobFailed):
            return error
        if isinstance(found, JobFailed):
            return type(found)(found.status, self.log_tail())
        return found


def worker_command(python: str, call: CallFolder) -> tuple[list[str], dict[str, str]]:
    """Return the command of a worker, and what it needs in its environment."""
    log = {worker.LOG: str(call.folder / "output-")} if call.is_here else {}
    return [python, str(call.seen_as / "worker.py")], log
