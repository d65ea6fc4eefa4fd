"""Hold a job that kernels run in, from its submit until its last kernel has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from ...concurrency import within
from ...errors import BatchError
from ...jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ...allocation.agent_handle import AgentHandle
    from ...allocation.allocation import Allocation
    from ...jobs import JobInfo

log = logging.getLogger(__name__)

_NO_NAME = re.compile(r"[^A-Za-z0-9.-]")

_DOUBT = 15.0
"""Seconds that a scheduler may take to say whether a job whose agent is silent still runs."""

FAREWELL = 10.0
"""Seconds that a job may take to end by itself before it is cancelled."""


class KernelJob:
    """Count the kernels that this process has in a job; after the last one, `_release` it.

    `failure` says why the job has ended, when it has. `node` is the node that it was asked to run
    on, if any.
    """

    def __init__(self, allocation: Allocation) -> None:
        self.allocation = allocation
        self.agent: AgentHandle | None = None
        self.failure: BatchError | None = None
        self.ending = False
        self.ended = asyncio.Event()
        self._arrived, self._heard = asyncio.Event(), asyncio.Event()
        self.node = ""
        self._agents: list[AgentHandle] = []
        self._nodes: dict[str, asyncio.Task[AgentHandle]] = {}
        self._kernels: set[str] = set()
        self._listeners: list[Callable[[str], Awaitable[None]]] = []
        self._leaving: asyncio.TimerHandle | None = None
        self._released: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._attend())}
        allocation.on_status = self._note

    @property
    def job_id(self) -> str:
        return self.allocation.job_id

    @property
    def folder(self) -> Path:
        """The folder that only this process and the job write into."""
        return self.allocation.call.folder

    @property
    def is_open(self) -> bool:
        """Whether a kernel can still be put into this job."""
        return not (self.ended.is_set() or self.ending or self._released or self._is_over())

    def _is_over(self) -> bool:
        """Tell whether the scheduler says so, before all that the job said last has arrived."""
        status = self.allocation.status
        return status is not None and (status.is_final or status.state is JobState.COMPLETING)

    async def is_lasting(self) -> bool:
        """Tell what `is_open` does, after the scheduler was asked where no agent speaks with us."""
        if self.agent is None and self.is_open:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_DOUBT, self.allocation.renewed())
        elif self.agent is not None and self.is_open and not self.agent.online.is_set():
            self.allocation.suspect(1.0)
            news = [asyncio.ensure_future(one.wait()) for one in (self.ended, self.agent.online)]
            await asyncio.wait(news, timeout=_DOUBT, return_when=asyncio.FIRST_COMPLETED)
            for one in news:
                one.cancel()
        return self.is_open

    @property
    def is_used(self) -> bool:
        """Whether a kernel needs this job."""
        return bool(self._kernels)

    def join(self, kernel_id: str) -> None:
        """Keep the job for a kernel."""
        self._kernels.add(kernel_id)
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None

    def leave(self, kernel_id: str, linger: float) -> None:
        """Let a kernel go; the last one gives the job back, `linger` seconds later."""
        self._kernels.discard(kernel_id)
        if not self._kernels and self.is_open and self._leaving is None:
            if not linger:
                self.release()
                return
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(linger, self.release)

    def release(self) -> asyncio.Task[None]:
        """Give the job back."""
        if self._released is None:
            self._released = asyncio.ensure_future(self._release())
        return self._released

    async def ready(self) -> AgentHandle:
        """Return the agent when the job runs. Raises BatchError where it has ended."""
        await self._arrived.wait()
        if self.failure is not None:
            raise self.failure
        assert self.agent is not None  # noqa: S101  (one of the two has arrived)
        return self.agent

    async def ready_on(self, node: str) -> AgentHandle:
        """Return the agent on one node of the job, started where there is none yet.

        Raises BatchError where that is not possible.
        """
        agent = await self.ready()
        if node in ("", self.node, agent.host):
            return agent
        if node not in self._nodes or _has_failed(self._nodes[node]):
            self._nodes[node] = asyncio.ensure_future(self._reach(node, agent))
        return await asyncio.shield(self._nodes[node])

    async def _reach(self, node: str, agent: AgentHandle) -> AgentHandle:
        call = self.allocation.call.another(self.folder / "nodes" / _NO_NAME.sub("_", node))
        scheduler = self.allocation.client.scheduler
        argv = scheduler.on_node(node, call.command)
        if argv is None:
            raise BatchError(
                f"node: {scheduler.title} does not start programs on another node of job "
                f"{self.job_id}, which runs on {agent.host}"
            )
        words: list[bytes] = []
        process = agent.begin(argv, stdin=b"")
        process.on_output = lambda _, data: words.append(data)
        coming = asyncio.ensure_future(call.next_agent())
        ending = asyncio.ensure_future(process.wait())
        await asyncio.wait([coming, ending], return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            self._agents.append(coming.result())
            self._tasks.add(ending)
            return coming.result()
        coming.cancel()
        call.close()
        said = b"".join(words).decode(errors="replace").strip()
        raise BatchError(f"node {node} of job {self.job_id} cannot be used: {said}")

    def _finish(self, *, unattended: bool = False) -> None:
        """Have all our agents end when their programs have."""
        for agent in self._agents:
            agent.finish(unattended=unattended)

    async def settled(self) -> None:
        """Wait until it is known whether the job waits, runs or has ended."""
        await self._heard.wait()
        if self._is_over():
            await self.ended.wait()

    def listen(self, listener: Callable[[str], Awaitable[None]]) -> Callable[[], None]:
        """Call somebody with each new `description`; what is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def description(self) -> str:
        """What the job waits for, or where it runs, as a sentence for people."""
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

    async def _attend(self) -> None:
        try:
            self.agent = await self.allocation.next_agent()
            self.agent.on_signal = self._warned
            self._agents.append(self.agent)
            self._arrived.set()
            self._heard.set()
            await self._announce()
            # Where no other one comes, this raises why the job has ended.
            await self.allocation.next_agent()
            self._give_up()
            await self.allocation.next_agent()
        except BatchError as error:
            self.failure = error
        for event in (self.ended, self._arrived, self._heard):
            event.set()

    def _warned(self, number: int) -> None:
        """Take note that the scheduler ends the job."""
        if number == signal.SIGTERM:
            self.ending = True
            self.allocation.suspect()

    def _note(self, status: JobInfo) -> None:
        self._heard.set()
        if status.state.is_waiting and self.agent and not self.agent.online.is_set():
            self._give_up()
        task = asyncio.ensure_future(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_up(self) -> None:
        """End a job that has lost its kernels: nobody asked for another wait, or an idle node."""
        error = BatchError(
            f"job {self.job_id} was put back into the queue, so what ran in it is gone: its node "
            "was lost, or it had to make room"
        )
        self.allocation.call.fail(error)
        self._tasks.add(asyncio.ensure_future(self._withdraw()))

    async def _withdraw(self) -> None:
        """Cancel a job that has no kernels any more, where it is ours."""

    async def _announce(self) -> None:
        log.info("%s", self.description)
        for listener in list(self._listeners):
            await listener(self.description)

    async def _release(self) -> None:
        raise NotImplementedError

    async def _ends(self) -> bool:
        """Wait a moment for the end of the job."""
        return await happens(self.ended, FAREWELL)


def _has_failed(task: asyncio.Task[AgentHandle]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, and return whether it came in time."""
    with contextlib.suppress(asyncio.TimeoutError):
        return await asyncio.wait_for(event.wait(), seconds)
    return False
