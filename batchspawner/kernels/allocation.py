"""Hold a job that kernels run in, from its submit until its last kernel has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from ..errors import BatchError, JobLost, failure_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ..client import BatchClient
    from ..jobs import JobRequest, JobStatus
    from ..watch import Watch

log = logging.getLogger(__name__)

_WAITING = 5.0
"""Seconds between two questions about a job that waits, or that has just ended."""

_FAREWELL = 10.0
"""Seconds that a job may take to end by itself before it is cancelled."""

_TAIL = 20
"""Lines of a job's log that go into the error about it."""


class Allocation:
    """Hold one job, and the agent in it that starts kernels.

    The scheduler is asked while the job waits and when the agent is gone, and never between.
    `on_end` is called when the job has ended, in whatever way.
    """

    def __init__(self, folder: Path, client: BatchClient, linger: float) -> None:
        self.folder = folder
        self.client = client
        self.linger = linger
        self.job_id = ""
        self.status: JobStatus | None = None
        self.agent: Any = None
        self.failure: BatchError | None = None
        self.ended = asyncio.Event()
        self.on_submit: Callable[[str], None] = lambda _: None
        self.on_end: Callable[[], None] = lambda: None
        self._submitted, self._arrived = asyncio.Event(), asyncio.Event()
        self._kernels: set[str] = set()
        self._listeners: list[Callable[[str], Awaitable[None]]] = []
        self._following: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._released: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a kernel can still be put into this job."""
        return not self.ended.is_set() and self._released is None

    @property
    def is_used(self) -> bool:
        """Whether a kernel needs this job."""
        return bool(self._kernels)

    def begin(self, call: Any, request: JobRequest) -> None:
        """Submit the job and follow it."""
        self._following = asyncio.ensure_future(self._follow(call, request))

    def resume(self, call: Any, job_id: str) -> None:
        """Follow a job that another process has submitted."""
        self.job_id = job_id
        self._following = asyncio.ensure_future(self._follow(call, None))

    def join(self, kernel_id: str) -> None:
        """Keep the job for a kernel."""
        self._kernels.add(kernel_id)
        if self._leaving:
            self._leaving.cancel()
            self._leaving = None

    def leave(self, kernel_id: str) -> None:
        """Let a kernel go; the last one gives the job back, after a while."""
        self._kernels.discard(kernel_id)
        if not self._kernels and self.is_open and self._leaving is None:
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(self.linger, self.release)

    def release(self) -> asyncio.Task[None]:
        """Give the job back."""
        if self._released is None:
            self._released = asyncio.ensure_future(self._release())
        return self._released

    async def submitted(self) -> None:
        """Return when the scheduler has the job. Raises BatchError where it was refused."""
        await self._submitted.wait()
        if not self.job_id and self.failure:
            raise self.failure

    async def ready(self) -> Any:
        """Return the agent when the job runs. Raises BatchError where it ended before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._arrived, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.failure:
            raise self.failure
        return self.agent

    def listen(self, listener: Callable[[str], Awaitable[None]]) -> Callable[[], None]:
        """Call somebody with each new `description`; what is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def description(self) -> str:
        """What the job waits for, or where it runs, as a sentence for people."""
        if not self.job_id:
            return f"The job is being submitted to {self.client.scheduler.title}."
        status = self.status
        if self.agent is not None:
            return f"Job {self.job_id} runs on {self.agent.host}."
        if status is None:
            return f"Job {self.job_id} has been submitted to {self.client.scheduler.title}."
        words = f"Job {self.job_id} is {status.describe()}"
        if status.expected_start:
            moment = time.strftime("%a %H:%M", time.localtime(status.expected_start))
            words += f", expected to start {moment}"
        return f"{words}."

    async def _follow(self, call: Any, request: JobRequest | None) -> None:
        try:
            if request is not None:
                self.job_id = await self.client.submit(request)
                self.on_submit(self.job_id)
            self._submitted.set()
            await self._announce()
            watch = self.client.watch(self.job_id, _WAITING)
            try:
                self.agent = await self._first_contact(call, watch)
            finally:
                watch.close()
            if self.agent is not None:
                self._arrived.set()
                await self._announce()
                await asyncio.wait([self.agent.gone])
                self.failure = await self._reason()
        except BatchError as error:
            self.failure = error
        finally:
            self.failure = self.failure or JobLost(self.job_id)
            self.ended.set()
            self._submitted.set()
            self.on_end()

    async def _first_contact(self, call: Any, watch: Watch) -> Any:
        """Return the agent; None, with `failure` set, where the job ends before it calls."""
        arrival = asyncio.ensure_future(call.next_agent())
        try:
            while True:
                news = asyncio.ensure_future(watch.change(self.status))
                await asyncio.wait((arrival, news), return_when=asyncio.FIRST_COMPLETED)
                if arrival.done():
                    news.cancel()
                    return arrival.result()
                self.status = news.result()
                if self.status.is_final:
                    self.failure = self._failure(self.status)
                    return None
                await self._announce()
        finally:
            arrival.cancel()

    async def _reason(self) -> BatchError:
        """Ask the scheduler how a job ended whose agent is gone."""
        watch = self.client.watch(self.job_id, 1.0)
        try:
            await watch.renewed()
            self.status = await watch.until(lambda status: status.is_final)
        finally:
            watch.close()
        return self._failure(self.status)

    def _failure(self, status: JobStatus) -> BatchError:
        failed = failure_of(status, self.log_tail())
        if failed is None:
            return BatchError(f"job {status.job_id} has ended, and its kernels with it")
        return failed

    def log_tail(self) -> str:
        """Return the last lines that the job has printed."""
        lines: list[str] = []
        for file in sorted(self.folder.glob("*.log")):
            with contextlib.suppress(OSError):
                lines += file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL:])

    async def _announce(self) -> None:
        log.info("%s", self.description)
        for listener in list(self._listeners):
            await listener(self.description)

    async def _release(self) -> None:
        if self.agent is not None and not self.ended.is_set():
            self.agent.finish()
            done, _ = await asyncio.wait([self.agent.gone], timeout=_FAREWELL)
            if done:
                return
        # A submit that is under way cannot be taken back, only what comes of it.
        await self._submitted.wait()
        if self.job_id and not self.ended.is_set():
            await self.client.cancel(self.job_id)
        if self._following:
            await asyncio.wait([self._following], timeout=_FAREWELL)
