"""Follow one job of those that a monitor watches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import SchedulerError
    from ..jobs import JobInfo
    from ..runners import Runner
    from .monitor import Monitor

CALM = 30.0
"""Seconds between two queries when no watcher wishes for less."""


class Watch:
    """Follow one job; close it when nobody waits for the job any more.

    `status` is None until the scheduler has been heard. `interval` is how old, in seconds, the
    status may become; it can be set at any time.
    """

    def __init__(
        self, monitor: Monitor, job_id: str, interval: float, owner: Runner | None = None
    ) -> None:
        self.job_id = job_id
        self.owner = owner
        self.status: JobInfo | None = None
        self.since = monitor.clock()
        self._monitor = monitor
        self._interval = interval
        self._changed = asyncio.Event()

    @property
    def interval(self) -> float:
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        if seconds != self._interval:
            before, self._interval = self._interval, seconds
            self._monitor.wishes_otherwise(self, before)

    @property
    def trouble(self) -> SchedulerError | None:
        """The error that keeps the status from being renewed, or None."""
        return self._monitor.trouble

    @property
    def silence(self) -> float:
        """Seconds since the first of the queries that have had no answer; 0.0 if the last had."""
        return self._monitor.silence

    def hurry(self) -> None:
        """Have the scheduler asked as soon as it can bear: there is news of the job."""
        self._monitor.hurry()

    async def renewed(self) -> JobInfo:
        """Have the scheduler asked, and return what it says from now on, not what it said."""
        await self._monitor.round_after(self._monitor.clock())
        return await self.change()

    async def change(self, seen: JobInfo | None = None) -> JobInfo:
        """Wait until the status is another than the one that the caller has seen."""
        while self.status is None or self.status == seen:
            self._changed.clear()
            await self._changed.wait()
        return self.status

    async def until(self, wanted: Callable[[JobInfo], bool]) -> JobInfo:
        """Wait for a status that the caller wants."""
        status = await self.change()
        while not wanted(status):
            status = await self.change(status)
        return status

    def close(self) -> None:
        self._monitor.forget(self)

    def tell(self, status: JobInfo) -> None:
        if status != self.status:
            self.status = status
            self._changed.set()
