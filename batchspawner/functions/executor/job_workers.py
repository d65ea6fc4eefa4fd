"""Bring workers to a pool that run under agents, in jobs of any scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from ...allocation.agent_handle import start_order
from ...allocation.allocation import Allocation
from ...errors import BatchError, JobFailed, NodeFailed, SubmitError, failure_of
from ...jobs import JobInfo, JobState
from ..options import job_resources
from ..session import QUIET, new_folder_call, shared_listener
from .worker_handles import FIRST, AgentWorkerHandle, worker_command
from .worker_providers import WorkerProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.call_folder import CallFolder
    from ...allocation.listener import Listener
    from ...client.batch_client import BatchClient

log = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds that the scheduler has to say why a job ended whose worker got a signal."""

_SILENCE = 20.0
"""Seconds that a job runs and is not heard of, after which the user is told."""

_ARRAY = 1000
"""Elements of an array at most: what Slurm and LSF allow, unless the site has another limit."""


class JobWorkerProvider(WorkerProvider):
    """Submit jobs, or arrays, whose agents run workers."""

    _advice = " Where nodes may not connect to this machine, use network=False."

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
        self._agents: dict[str, AgentHandle] = {}
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
            allocation.on_status = partial(self._told, allocation)
            self.spawn(self._welcome(allocation))

    async def _allocate(self, count: int) -> Allocation:
        resources = job_resources(self._client.scheduler, self._options)
        call = self._new_call(resources.get("runtime"))
        # The first worker starts with its agent, and not when that has been heard.
        argv, env = worker_command(self._python, call)
        call.order(start_order(argv, FIRST, env=env))
        listener = await self._listener()
        return await Allocation.submit(
            self._client,
            listener,
            front_end="functions",
            name=self._name,
            call=call,
            quiet=QUIET,
            elements=count,
            variables=self.variables,
            **resources,
        )

    def _new_call(self, runtime: object) -> CallFolder:
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
            if agent.over is not None:
                # It has ended, and only what it has written down is known of it.
                plain = type(agent.over) in (BatchError, JobFailed)
                self.on_failure(1, self._unheard(allocation) if plain else agent.over)
                continue
            hand = AgentWorkerHandle(self, allocation, agent, is_first=True)
            self._replace(hand)
            await self._start(hand)

    def _told(self, allocation: Allocation, status: JobInfo) -> None:
        if status.state is JobState.RUNNING and not allocation.call.agents:
            self.spawn(self._listen_for(allocation))

    async def _listen_for(self, allocation: Allocation) -> None:
        """Tell the user where a job runs, but cannot be heard."""
        await asyncio.sleep(_SILENCE)
        if not allocation.call.agents and not allocation.call.ended:
            log.warning("%s", self._unheard(allocation))

    def _unheard(self, allocation: Allocation) -> BatchError:
        said = allocation.log_tail().rpartition("\n")[2]
        told = f" It says: {said}." if said else ""
        return BatchError(
            f"Job {allocation.job_id} ran, but no worker of it could be heard.{told}{self._advice}"
        )

    def _replace(self, hand: AgentWorkerHandle) -> None:
        """Give up the agent that was in this job before: the job was started again."""
        before, self._agents[hand.element] = self._agents.get(hand.element), hand.agent
        if before is not None and before.over is None:
            reason = f"{before.host} was lost, and the job was started again on {hand.agent.host}"
            before.ended(NodeFailed(JobInfo(hand.element, JobState.NODE_FAIL, reason=reason)))

    async def _start(self, hand: AgentWorkerHandle) -> None:
        await hand.start()
        self.on_hand(hand)

    def left(self, hand: AgentWorkerHandle) -> None:
        """Replace a worker that died in a job that lives; else let the job end."""
        if hand.may_go_on:
            self.spawn(self._start(AgentWorkerHandle(self, hand._allocation, hand.agent)))
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
        for allocation, missing in list(self._allocations.items()):
            if missing:
                with contextlib.suppress(BatchError):
                    await allocation.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for allocation in list(self._allocations):
            await allocation.close(remove=False)

    async def withdraw(self) -> None:
        for allocation, missing in list(self._allocations.items()):
            if missing:
                # Agents read this when they start; those that run already have read all of it.
                allocation.call.order({"type": "close", "id": FIRST})
                allocation.call.order({"type": "finish"})
                if not allocation.call.agents:
                    with contextlib.suppress(BatchError):
                        await allocation.cancel()
