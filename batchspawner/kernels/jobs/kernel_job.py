"""A job that kernels run in, from its submission until its last kernel has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from ...concurrency import BackgroundTasks, within
from ...errors import BatchError
from ...jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.allocation import Allocation
    from ...jobs import JobInfo

log = logging.getLogger(__name__)

_UNSAFE_CHARACTER = re.compile(r"[^A-Za-z0-9.-]")

_QUERY_TIMEOUT_S = 15.0
"""How long a scheduler may take to report whether a job whose agent is silent still runs."""

END_TIMEOUT_S = 10.0
"""How long a job may take to end by itself before it is cancelled."""


class KernelJob:
    """A job, and the kernels that this process has in it; the last one releases it.

    `ending` is set when the scheduler has signalled the job. `failure` is why the job has ended,
    once it has. `node` is the node that it was asked to run on, if any.
    """

    def __init__(self, allocation: Allocation) -> None:
        self.allocation = allocation
        self.agent: AgentHandle | None = None
        self.failure: BatchError | None = None
        self.ending, self.ended = asyncio.Event(), asyncio.Event()
        self._arrived, self._status_known = asyncio.Event(), asyncio.Event()
        self.node = ""
        self._agents: list[AgentHandle] = []
        self._nodes: dict[str, asyncio.Task[AgentHandle]] = {}
        self._kernels: set[str] = set()
        self._ended_kernels: set[str] = set()
        self._listeners: list[Callable[[str], Awaitable[None]]] = []
        self._lingering: asyncio.TimerHandle | None = None
        self._released: asyncio.Task[None] | None = None
        self._background = BackgroundTasks()
        self._background.start(self._wait_for_agent())
        allocation.on_status = self._status_changed

    @property
    def job_id(self) -> str:
        return self.allocation.job_id

    @property
    def folder(self) -> Path:
        """The folder of the job, into which only this process and the job write."""
        return self.allocation.call.folder

    @property
    def is_open(self) -> bool:
        """Whether a kernel can still be put into this job."""
        ends = self.ending.is_set() or self.ended.is_set()
        return not (ends or self._released or self._is_over())

    def _is_over(self) -> bool:
        """Return whether the scheduler has reported the end; the last output may still come."""
        status = self.allocation.status
        return status is not None and (status.is_final or status.state is JobState.COMPLETING)

    async def is_still_open(self) -> bool:
        """Return `is_open` after asking the scheduler, unless an agent is connected."""
        if self.agent is None and self.is_open:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_QUERY_TIMEOUT_S, self.allocation.renewed())
        elif self.agent is not None and self.is_open and not self.agent.online.is_set():
            self.allocation.suspect(1.0)
            waits = [asyncio.ensure_future(one.wait()) for one in (self.ended, self.agent.online)]
            await asyncio.wait(waits, timeout=_QUERY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            for one in waits:
                one.cancel()
        return self.is_open

    @property
    def is_used(self) -> bool:
        """Whether a kernel waits or runs in this job."""
        return bool(self._kernels - self._ended_kernels)

    def join(self, kernel_id: str) -> None:
        """Add a kernel to those that use this job."""
        self._kernels.add(kernel_id)
        self._ended_kernels.discard(kernel_id)
        if self._lingering:
            self._lingering.cancel()
            self._lingering = None

    def kernel_ended(self, kernel_id: str) -> None:
        """Record the end of a kernel, which may be started again until it leaves the job."""
        self._ended_kernels.add(kernel_id)

    def leave(self, kernel_id: str, linger: float) -> None:
        """Remove a kernel; `linger` seconds after the last one, the job is released."""
        self._kernels.discard(kernel_id)
        self._ended_kernels.discard(kernel_id)
        if not self._kernels and self.is_open and self._lingering is None:
            if not linger:
                self.release()
                return
            loop = asyncio.get_running_loop()
            self._lingering = loop.call_later(linger, self.release)

    def release(self) -> asyncio.Task[None]:
        """Begin to give the job back, once."""
        if self._released is None:
            self._released = asyncio.ensure_future(self._release())
        return self._released

    async def ready(self) -> AgentHandle:
        """Return the agent when the job runs. Raises BatchError if the job has ended."""
        await self._arrived.wait()
        if self.failure is not None:
            raise self.failure
        assert self.agent is not None  # noqa: S101  (one of the two has arrived)
        return self.agent

    async def ready_on(self, node: str) -> AgentHandle:
        """Return the agent on one node of the job; start one if there is none yet.

        Raises BatchError if that is not possible.
        """
        agent = await self.ready()
        if node in ("", self.node, agent.host):
            return agent
        if node not in self._nodes or _has_failed(self._nodes[node]):
            self._nodes[node] = asyncio.ensure_future(self._start_agent(node, agent))
        return await asyncio.shield(self._nodes[node])

    async def _start_agent(self, node: str, agent: AgentHandle) -> AgentHandle:
        name = _UNSAFE_CHARACTER.sub("_", node)
        call = self.allocation.call.another(self.folder / "nodes" / name)
        scheduler = self.allocation.client.scheduler
        argv = scheduler.on_node(node, call.command)
        if argv is None:
            raise BatchError(
                f"node: {scheduler.title} does not start programs on another node of job "
                f"{self.job_id}, which runs on {agent.host}"
            )
        output: list[bytes] = []
        process = agent.begin(argv, stdin=b"")
        process.on_output = lambda _, data: output.append(data)
        coming = asyncio.ensure_future(call.next_agent())
        either: list[asyncio.Future[Any]] = [coming, self._background.start(process.wait())]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            self._agents.append(coming.result())
            return coming.result()
        coming.cancel()
        call.close()
        said = b"".join(output).decode(errors="replace").strip()
        raise BatchError(f"node {node} of job {self.job_id} cannot be used: {said}")

    def _finish(self, *, unattended: bool = False) -> None:
        """Make all our agents end when their programs have."""
        for agent in self._agents:
            agent.finish(unattended=unattended)

    async def settled(self) -> None:
        """Wait until it is known whether the job waits, runs or has ended."""
        await self._status_known.wait()
        if self._is_over():
            await self.ended.wait()

    def subscribe(self, listener: Callable[[str], Awaitable[None]]) -> Callable[[], None]:
        """Call a listener with each new `description`; return the function that ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def description(self) -> str:
        """What the job waits for, or where it runs, as a sentence for the user."""
        status = self.allocation.status
        if self.agent is not None:
            return f"Job {self.job_id} runs on {self.agent.host}."
        if status is None:
            return f"Job {self.job_id} has been submitted to {self._scheduler}."
        words = f"Job {self.job_id} is {status.describe()}"
        if status.expected_start:
            moment = time.strftime("%a %H:%M", time.localtime(status.expected_start))
            words += f", expected to start {moment}"
        return f"{words}."

    @property
    def _scheduler(self) -> str:
        return self.allocation.client.scheduler.title

    async def _wait_for_agent(self) -> None:
        try:
            self.agent = await self.allocation.next_agent()
            self.agent.on_signal = self._signalled
            self._agents.append(self.agent)
            self._arrived.set()
            self._status_known.set()
            await self._announce()
            # If no other agent comes, this raises why the job has ended.
            await self.allocation.next_agent()
            self._requeued()
            await self.allocation.next_agent()
        except BatchError as error:
            self.failure = error
        for event in (self.ended, self._arrived, self._status_known):
            event.set()

    def _signalled(self, number: int) -> None:
        """Record that the scheduler ends the job; called with the signal that the job got."""
        if number == signal.SIGTERM:
            self.ending.set()
            self.allocation.suspect()

    def _status_changed(self, status: JobInfo) -> None:
        self._status_known.set()
        if status.state.is_waiting and self.agent and not self.agent.online.is_set():
            self._requeued()
        self._background.start(self._announce())

    def _requeued(self) -> None:
        """End a job that has lost its kernels: users did not ask to wait in the queue again."""
        error = BatchError(
            f"job {self.job_id} was put back into the queue, so what ran in it is gone: its node "
            "was lost, or it had to make room"
        )
        self.allocation.call.fail(error)
        self._background.start(self._cancel())

    async def _cancel(self) -> None:
        """Cancel a job that has no kernels any more, if it is ours."""

    async def _announce(self) -> None:
        log.info("%s", self.description)
        for listener in list(self._listeners):
            await listener(self.description)

    async def _release(self) -> None:
        raise NotImplementedError

    async def _ends(self) -> bool:
        """Wait for the end of the job, and return whether it came in time."""
        return await occurs(self.ended, END_TIMEOUT_S)


def _has_failed(task: asyncio.Task[AgentHandle]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def occurs(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, and return whether it came in time."""
    with contextlib.suppress(asyncio.TimeoutError):
        return await within(seconds, event.wait())
    return False
