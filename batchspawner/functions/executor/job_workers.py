"""Providers of workers that run under agents: in jobs of this machine's or a remote scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from ...allocation.allocation import Allocation
from ...allocation.remote_process import start_order
from ...concurrency import BackgroundTasks, within
from ...errors import BatchError, JobFailed, NodeFailed, SubmitError
from ...jobs import JobInfo, JobState
from ..options import job_files, job_resources
from ..refusals import explain
from ..session import QUIET_PERIOD_S, new_folder_call, shared_listener
from .progress_file import ProgressFile
from .worker_handles import FIRST_WORKER_ID, AgentWorkerHandle, interruption, worker_command
from .worker_providers import WorkerProvider

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.call_folder import CallFolder
    from ...allocation.listener import Listener
    from ...client.batch_client import BatchClient
    from .gateway import Gateway

log = logging.getLogger(__name__)

_END_QUERY_TIMEOUT_S = 30.0
"""Seconds for which the scheduler is asked why a job ended whose worker got a signal."""

_UNHEARD_WARNING_DELAY_S = 20.0
"""Seconds that a job runs without a call from its agent, after which the user is warned."""

_MAX_ARRAY_ELEMENTS = 1000
"""Elements of an array at most: what Slurm and LSF allow, unless the site has another limit."""

_AGENT_EXIT_TIMEOUT_S = 5.0
"""Seconds that the agents of remote jobs have to end by themselves."""

_AGENT_EXIT_POLL_INTERVAL_S = 0.02


class JobWorkerProvider(WorkerProvider):
    """Provider that submits jobs, or arrays, whose agents run workers."""

    _files_are_here = True
    _advice = " Where nodes may not connect to this machine, use network=False."

    def __init__(
        self,
        client: BatchClient,
        options: Mapping[str, object],
        *,
        python: str,
        network: bool = True,
        margin: float = 30.0,
        name: str = "functions",
    ) -> None:
        self._client, self._options = client, dict(options)
        name = str(self._options.pop("job_name", None) or name)
        self._python, self._network, self._name = python, network, name
        self.margin = margin
        files = job_files(options, here=self._files_are_here)
        self.environment: Mapping[str, str] = files.environment(client.scheduler, name)
        self.folder = files.folder
        if self._files_are_here:
            self.progress = ProgressFile(name)
        self.variables: dict[str, object] = {}
        self._max_elements = _MAX_ARRAY_ELEMENTS
        self._missing_workers: dict[Allocation, int] = {}
        self._agents: dict[str, AgentHandle] = {}
        self._tasks = BackgroundTasks()

    async def request_workers(self, count: int) -> None:
        size = self._max_elements if self._client.scheduler.arrays else 1
        whole, rest = divmod(count, size)
        parts = [size] * whole + [rest] * bool(rest)
        await asyncio.gather(*(self._submit(part) for part in parts))

    async def _submit(self, count: int) -> None:
        """Submit a job, or an array, in parts if it is larger than the site allows."""
        try:
            allocation = await self._allocate(count)
        except SubmitError as error:
            if count == 1 or not self._client.scheduler.refuses_array(error):
                explain(error)
                self.on_failure(count, error)
                return
            self._max_elements = min(self._max_elements, count // 2)
            log.info("An array of %d is refused; trying %d", count, self._max_elements)
            await self.request_workers(count)
        except Exception as error:  # noqa: BLE001  (the futures report it)
            explain(error)
            self.on_failure(count, error)
        else:
            log.info("Submitted job %s for %d workers", allocation.job_id, count)
            self._missing_workers[allocation] = count
            allocation.on_status = partial(self._status_changed, allocation)
            self.start_task(self._start_workers(allocation))

    async def _allocate(self, count: int) -> Allocation:
        resources = job_resources(self._client.scheduler, self._options)
        call = self._new_call(resources.get("runtime"))
        # The agent starts its first worker by itself, and does not wait for an order.
        argv, env = worker_command(call, self.environment)
        with call.filling():
            call.order(start_order(argv, FIRST_WORKER_ID, env=env))
        listener = await self._listener()
        return await Allocation.submit(
            self._client,
            listener,
            front_end="functions",
            name=self._name,
            call=call,
            quiet=QUIET_PERIOD_S,
            elements=count,
            variables=self.variables,
            group=self.progress.group if self.progress else "",
            **resources,
        )

    def _new_call(self, runtime: object) -> CallFolder:
        return new_folder_call(runtime, self._python, detached=False)

    async def _listener(self) -> Listener | None:
        return await shared_listener() if self._network else None

    def start_task(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.start(work)

    async def _start_workers(self, allocation: Allocation) -> None:
        """Start a worker under each agent that calls, until the job has ended."""
        while True:
            try:
                agent = await allocation.next_agent()
            except BatchError as error:
                missing = self._missing_workers.pop(allocation, 0)
                if missing:
                    self.on_failure(missing, error)
                await allocation.close(remove=False)
                return
            if self._missing_workers.get(allocation):
                self._missing_workers[allocation] -= 1
            if agent.over is not None:
                # It has ended already: all that is known is what it has written to its journal.
                plain = type(agent.over) in (BatchError, JobFailed)
                self.on_failure(1, self._unheard(allocation) if plain else agent.over)
                continue
            handle = AgentWorkerHandle(self, allocation, agent, is_first=True)
            self._replace_agent(handle.element, agent)
            await self._start_worker(handle)

    def _status_changed(self, allocation: Allocation, status: JobInfo) -> None:
        if status.state is JobState.RUNNING and not allocation.call.agents:
            self.start_task(self._warn_if_unheard(allocation))

    async def _warn_if_unheard(self, allocation: Allocation) -> None:
        """Warn the user of a job that runs, but whose agent does not call."""
        await asyncio.sleep(_UNHEARD_WARNING_DELAY_S)
        if not allocation.call.agents and not allocation.call.ended:
            log.warning("%s", self._unheard(allocation))

    def _unheard(self, allocation: Allocation) -> BatchError:
        last_line = allocation.log_tail().rpartition("\n")[2]
        said = f" It says: {last_line}." if last_line else ""
        return BatchError(
            f"Job {allocation.job_id} ran, but no worker of it could be heard.{said}{self._advice}"
        )

    def _replace_agent(self, element: str, agent: AgentHandle) -> None:
        """Give up the agent that was in this job before: the job was started again."""
        before, self._agents[element] = self._agents.get(element), agent
        if before is not None and before.over is None:
            reason = f"{before.host} was lost, and the job was started again on {agent.host}"
            before.ended(NodeFailed(JobInfo(element, JobState.NODE_FAIL, reason=reason)))

    async def _start_worker(self, handle: AgentWorkerHandle) -> None:
        await handle.start()
        self.on_worker(handle)

    def worker_ended(self, handle: AgentWorkerHandle) -> None:
        """Replace a worker that died in a job that goes on; else release its agent."""
        if handle.can_be_replaced:
            another = AgentWorkerHandle(self, handle.allocation, handle.agent)
            self.start_task(self._start_worker(another))
        else:
            handle.release_agent()

    async def end_of(self, element: str) -> BatchError | None:
        """Ask the scheduler why a job, or one element of it, ended."""
        with contextlib.suppress(asyncio.TimeoutError):
            return await within(_END_QUERY_TIMEOUT_S, interruption(self._client, element))
        return None

    def requeued(self, allocation: Allocation) -> None:
        """Expect another worker of a job that has to wait in the queue again."""
        if allocation in self._missing_workers:
            self._missing_workers[allocation] += 1
            self.on_requeue(1)

    async def close(self) -> None:
        for allocation, missing in list(self._missing_workers.items()):
            if missing:
                with contextlib.suppress(BatchError):
                    await allocation.cancel()
        self._tasks.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for allocation in list(self._missing_workers):
            await allocation.close(remove=False)

    async def cancel_requests(self) -> None:
        for allocation, missing in list(self._missing_workers.items()):
            if missing:
                # Agents read these orders when they start; those that run have read theirs.
                allocation.call.order({"type": "close", "id": FIRST_WORKER_ID})
                allocation.call.order({"type": "finish"})
                if not allocation.call.agents:
                    with contextlib.suppress(BatchError):
                        await allocation.cancel()


class RemoteWorkerProvider(JobWorkerProvider):
    """Provider that submits jobs on a login host; their agents call through the gateway to it."""

    _files_are_here = False
    _advice = ""

    def __init__(
        self, gateway: Gateway, options: Mapping[str, object], *, python: str, margin: float = 30.0
    ) -> None:
        super().__init__(gateway.client, options, python=python, margin=margin)
        self._gateway = gateway
        self.variables = {"homedir": gateway.home}

    def _new_call(self, runtime: object) -> CallFolder:
        make = self._gateway.new_call
        return new_folder_call(runtime, self._python, detached=False, make=make)

    async def _listener(self) -> Listener | None:
        return self._gateway.listener

    async def close(self) -> None:
        # The orders that end the agents must reach them before the connection is closed.
        agents = [agent for agent in self._agents.values() if agent.over is None]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _AGENT_EXIT_TIMEOUT_S
        while any(agent.online.is_set() for agent in agents) and loop.time() <= deadline:
            await asyncio.sleep(_AGENT_EXIT_POLL_INTERVAL_S)
        await super().close()
        await self._gateway.close()
