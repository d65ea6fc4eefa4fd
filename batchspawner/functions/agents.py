"""Bring workers to a pool that run under agents, in jobs of any scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from ..agent.calling import append
from ..allocation import Allocation
from ..errors import BatchError, JobFailed, NodeFailed, SubmitError, failure_of
from ..jobs import JobState, JobStatus
from ..remote import start_order
from . import worker
from .crews import FROM_OUTSIDE, Crew, Tail, death
from .home import QUIET, new_folder_call, shared_listener
from .job import Job
from .options import job_resources
from .payload import welcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..callhome import Listener
    from ..calls import Call
    from ..client import BatchClient
    from ..remote import Agent, Process

log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds that the scheduler has to say why a job ended whose worker got a signal."""

_FIRST = "first"
"""The worker that each agent starts by itself."""

_ARRAY = 1000
"""Elements of an array at most: what Slurm and LSF allow, unless the site has another limit."""


class AgentHand:
    """Speak with a worker through the agent of its job."""

    def __init__(
        self, crew: BatchCrew, allocation: Allocation, agent: Agent, *, is_first: bool = False
    ) -> None:
        self._crew, self._allocation, self.agent = crew, allocation, agent
        self.element = allocation.element_of(agent)
        self.name = f"{self.element} on {agent.host}"
        self._call = allocation.call
        self.job: Job | None = Job(allocation.client, self._call.folder, allocation.job_id)
        self.job.element, self.job.started = self.element, True
        self._is_first = is_first
        self._process: Process | None = None
        self._errors = Tail()
        self._warned = self._finished = self._greeted = False

    async def start(self) -> None:
        """Start the worker. Raises BatchError where that is not possible."""
        if self._is_first:
            self._process = self.agent.process(_FIRST)
        else:
            python = str(self.agent.facts["executable"])
            argv, env = _worker(python, self._call)
            self._process = self.agent.begin(argv, env=env)
        self.agent.on_signal = self._signalled
        self.agent.on_silent = self._silent
        # A large result lies in the folder, where that is ours, too.
        await self.send(welcome(str(self._call.folder) if self._call.is_here else None))

    @property
    def is_ending(self) -> bool:
        ends = self.agent.ends
        near = ends is not None and ends - time.time() < self._crew.margin
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
                    self.agent.ended(_why(failure_of(status), self.element))
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


class BatchCrew(Crew):
    """Submit jobs, or arrays, whose agents run workers."""

    def __init__(
        self,
        client: BatchClient,
        options: Mapping[str, Any],
        *,
        python: str,
        network: bool = True,
        margin: float = 30.0,
        name: str = "functions",
    ) -> None:
        self._client, self._options = client, dict(options)
        self._python, self._network, self._name = python, network, name
        self.margin = margin
        self.variables: dict[str, object] = {}
        self._largest = _ARRAY
        self._allocations: dict[Allocation, int] = {}
        self._agents: dict[str, Agent] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def recruit(self, count: int) -> None:
        size = self._largest if self._client.scheduler.arrays else 1
        whole, rest = divmod(count, size)
        parts = [size] * whole + [rest] * bool(rest)
        await asyncio.gather(*(self._submit(part) for part in parts))

    async def _submit(self, count: int) -> None:
        """Submit a job, or an array, in parts where it is larger than the site allows."""
        try:
            allocation = await self._allocate(count)
        except SubmitError as error:
            if count == 1 or not self._client.scheduler.refuses_array(error):
                self.on_failure(count, error)
                return
            self._largest = min(self._largest, count // 2)
            log.info("An array of %d is refused; trying %d", count, self._largest)
            await self.recruit(count)
        except Exception as error:  # noqa: BLE001  (whoever waits for the calls hears of it)
            self.on_failure(count, error)
        else:
            log.info("Submitted job %s for %d workers", allocation.job_id, count)
            self._allocations[allocation] = count
            self.spawn(self._welcome(allocation))

    async def _allocate(self, count: int) -> Allocation:
        resources = job_resources(self._client.scheduler, self._options)
        call = self._new_call(resources.get("runtime"))
        # The first worker starts with its agent, and not when that has been heard.
        argv, env = _worker(self._python, call)
        call.order(start_order(argv, _FIRST, env=env))
        listener = await self._listener()
        return await Allocation.submit(
            self._client, listener, front_end="functions", name=self._name, call=call,
            quiet=QUIET, elements=count, variables=self.variables, **resources,
        )  # fmt: skip

    def _new_call(self, runtime: object) -> Call:
        return new_folder_call(runtime, self._python, lasting=False)

    async def _listener(self) -> Listener | None:
        return await shared_listener() if self._network else None

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _welcome(self, allocation: Allocation) -> None:
        """Start a worker under each agent that calls, until the job has ended."""
        while True:
            try:
                agent = await allocation.next_agent()
            except BatchError as error:
                missing = self._allocations.pop(allocation, 0)
                if missing:
                    self.on_failure(missing, error)
                await allocation.close(remove=False)
                return
            if self._allocations.get(allocation):
                self._allocations[allocation] -= 1
            hand = AgentHand(self, allocation, agent, is_first=True)
            self._replace(hand)
            await self._start(hand)

    def _replace(self, hand: AgentHand) -> None:
        """Give up the agent that was in this job before: the job was started again."""
        before, self._agents[hand.element] = self._agents.get(hand.element), hand.agent
        if before is not None and before.over is None:
            reason = f"{before.host} was lost, and the job was started again on {hand.agent.host}"
            before.ended(NodeFailed(JobStatus(hand.element, JobState.NODE_FAIL, reason=reason)))

    async def _start(self, hand: AgentHand) -> None:
        await hand.start()
        self.on_hand(hand)

    def left(self, hand: AgentHand) -> None:
        """Replace a worker that died in a job that lives; else let the job end."""
        if hand.may_go_on:
            self.spawn(self._start(AgentHand(self, hand._allocation, hand.agent)))
        else:
            hand.dismiss()

    async def end_of(self, allocation: Allocation, element: str) -> BatchError | None:
        """Ask the scheduler why a job, or one element of it, ended."""
        if element == allocation.job_id:
            with contextlib.suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(allocation.ended(), _PATIENCE)
            return None
        with contextlib.suppress(asyncio.TimeoutError):
            status = await asyncio.wait_for(self._client.wait(element, 5.0), _PATIENCE)
            return failure_of(status)
        return None

    async def dismiss(self) -> None:
        for allocation in list(self._allocations):
            if not allocation.call.agents:
                with contextlib.suppress(BatchError):
                    await allocation.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for allocation in list(self._allocations):
            await allocation.close(remove=False)


def _worker(python: str, call: Call) -> tuple[list[str], dict[str, str]]:
    """Return the command of a worker, and what it needs in its environment."""
    log = {worker.LOG: str(call.folder / "output-")} if call.is_here else {}
    return [python, str(call.seen_as / "worker.py")], log


def _why(error: BatchError | None, element: str) -> BatchError:
    return error or BatchError(f"job {element} has ended")


def taken(buffer: bytearray) -> list[tuple[dict[str, Any], bytes]]:
    """Take all whole frames out of a buffer."""
    found = []
    place = 0
    while len(buffer) - place >= worker.HEAD.size:
        head, size = worker.HEAD.unpack_from(buffer, place)
        begin = place + worker.HEAD.size
        end = begin + head + size
        if len(buffer) < end:
            break
        header = json.loads(buffer[begin : begin + head])
        found.append((header, bytes(buffer[begin + head : end])))
        place = end
    del buffer[:place]
    return found
