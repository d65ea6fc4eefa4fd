"""The limits of one start, and the clock that knows when it is given up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...concurrency import SmallEvent
from ...message import Message
from ...units import say_duration

if TYPE_CHECKING:
    from collections.abc import Coroutine

_EARLIER_S = 2.0
"""Time by which a start ends before JupyterHub's own limit if that is the same; less if short."""


_NO_LIMIT_S = 365 * 86400
"""What JupyterHub is told where a job may wait for any time: it needs a number."""

_MARGIN_S = 300
"""Time for the submit, and for reading the log, before JupyterHub gives up by itself."""


@dataclass(frozen=True)
class StartLimits:
    """Limits of one start in seconds, None for no limit.

    `queue_s` is for the time until the job runs, `start_s` from then until its server answers.
    `total_s` is for both together, and rules alone where it is given.
    """

    queue_s: int | None = None
    start_s: int | None = None
    total_s: int | None = None

    @property
    def hub_s(self) -> int:
        """After how many seconds JupyterHub itself may give up."""
        if self.total_s is not None:
            return self.total_s
        if self.queue_s is None or self.start_s is None:
            return _NO_LIMIT_S
        return self.queue_s + self.start_s + _MARGIN_S


class StartClock:
    """Clock of one start: when it began, since when its job runs, and until when it may take.

    All moments are on the clock of `time.monotonic`. `queued` is when the job was submitted, if
    that was before now, by an earlier Hub process.
    """

    def __init__(self, limits: StartLimits, queued: float | None = None) -> None:
        self.limits = limits
        self._began = time.monotonic()
        self._queued = self._began if queued is None else queued
        # The system's clock may be set meanwhile, and what pages show must not change then.
        self._epoch = time.time() - time.monotonic()
        self._running: float | None = None
        self._changed = SmallEvent()

    @property
    def running_since(self) -> float | None:
        """When the job was first seen to run; None while it waits."""
        return self._running

    def note_running(self, *, runs: bool) -> None:
        """Note whether the job runs; one that is put back into the queue does not."""
        if runs == (self._running is not None):
            return
        self._running = time.monotonic() if runs else None
        self._changed.set()

    @property
    def end(self) -> float | None:
        """When the start is given up unless something changes; None if it is not."""
        limits = self.limits
        if limits.total_s is not None:
            # JupyterHub gives up then, and would not say what the start was waiting for.
            return self._began + limits.total_s - min(_EARLIER_S, limits.total_s / 10)
        if self._running is not None:
            return None if limits.start_s is None else self._running + limits.start_s
        return None if limits.queue_s is None else self._queued + limits.queue_s

    @property
    def left_s(self) -> float | None:
        """For how many seconds the start may still go on as it does now; None for any time."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def at(self, moment: float | None) -> float | None:
        """Return a moment in seconds since the epoch."""
        return None if moment is None else self._epoch + moment

    def say_limit(self) -> Message:
        """Return in words which limit of the site counts now."""
        limits = self.limits
        if limits.total_s is not None:
            return Message("After %(seconds)s s, the limit of this Hub", seconds=limits.total_s)
        if self._running is not None:
            passed = say_duration(limits.start_s or 0)
            return Message("%(time)s after the job's start, the limit of this Hub", time=passed)
        passed = say_duration(limits.queue_s or 0)
        return Message("After %(time)s in the queue, the limit of this Hub", time=passed)

    async def within_limits(self, work: Coroutine[object, object, None]) -> None:
        """Do the rest of a start. Raises asyncio.TimeoutError, and cancels it, at its end."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done() and self.left_s != 0:
                self._changed.clear()
                change = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait(
                    [task, change], timeout=self.left_s, return_when=asyncio.FIRST_COMPLETED
                )
                change.cancel()
        except BaseException:
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            raise asyncio.TimeoutError
        task.result()
