"""One job of those that a monitor watches, followed by one caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..concurrency import SmallEvent, any_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import SchedulerError
    from ..jobs import JobInfo
    from ..runners import Runner

IDLE_INTERVAL_S = 30.0
"""Between two queries, unless somebody requests a shorter interval."""


class Watcher(Protocol):
    """What a watch needs of the monitor that it belongs to."""

    clock: Callable[[], float]
    trouble: SchedulerError | None

    @property
    def unanswered_for(self) -> float: ...

    def hurry(self, job_id: str) -> None: ...

    async def round_after(self, moment: float, job_id: str) -> None: ...

    def forget(self, watch: Watch) -> None: ...

    def interval_changed(self, watch: Watch, before: float) -> None: ...


class Watch:
    """The status of one job, kept up to date until the watch is closed.

    `status` is None until the scheduler has answered. `interval` is how old the status may
    become, in seconds; it can be set at any time. `owner` runs commands as the owner of the job,
    whose name is `owner_name`, empty if unknown. `submitted_at` is when we submitted the job, in
    seconds since the epoch, None if unknown. `changed` is set each time the status changes.
    Get one from `BatchClient.watch`, and `close` it when nobody waits for the job any more.
    """

    def __init__(
        self,
        monitor: Watcher,
        job_id: str,
        interval: float,
        owner: Runner | None = None,
        submitted_at: float | None = None,
        owner_name: str = "",
    ) -> None:
        self.job_id = job_id
        self.owner, self.owner_name = owner, owner_name
        self.submitted_at = submitted_at
        self.status: JobInfo | None = None
        self.since = monitor.clock()
        self._monitor = monitor
        self._interval = interval
        self._updated = float("-inf")
        self.changed = SmallEvent()

    @property
    def interval(self) -> float:
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        if seconds != self._interval:
            before, self._interval = self._interval, seconds
            self._monitor.interval_changed(self, before)

    @property
    def trouble(self) -> SchedulerError | None:
        """The error that keeps the status from being updated, or None."""
        return self._monitor.trouble

    @property
    def unanswered_for(self) -> float:
        """Seconds since the first of the failed queries in a row; 0.0 if the last one succeeded.

        While it is above 0, `status` is older than `interval` says.
        """
        return self._monitor.unanswered_for

    def hurry(self) -> None:
        """Request a query as soon as the rate limit allows, because the job has changed."""
        self._monitor.hurry(self.job_id)

    async def renewed(self) -> JobInfo:
        """Request a query, and return the status as of a query that was sent after this call."""
        await self._monitor.round_after(self._monitor.clock(), self.job_id)
        return await self.change()

    async def listed(self) -> JobInfo:
        """Return the status as of a query that was sent after this call and showed the job.

        Unlike that of `renewed`, it is not an older one where the job is missing in the answer.
        """
        began = self._monitor.clock()
        while True:
            status = await self.renewed()
            if status.is_final or self._updated >= began:
                return status

    async def change(self, seen: JobInfo | None = None) -> JobInfo:
        """Wait until the status differs from the one that the caller has seen, and return it."""
        while self.status is None or self.status == seen:
            self.changed.clear()
            await self.changed.wait()
        return self.status

    async def change_or(
        self, event: SmallEvent, seen: JobInfo | None, timeout: float | None = None
    ) -> bool:
        """Wait until the status differs from `seen` or the event is set.

        Return False after `timeout` seconds without either.
        """
        end = None if timeout is None else self._monitor.clock() + timeout
        while (self.status is None or self.status == seen) and not event.is_set():
            self.changed.clear()
            left = None if end is None else end - self._monitor.clock()
            if not await any_set([self.changed, event], left):
                return False
        return True

    async def until(self, wanted: Callable[[JobInfo], bool]) -> JobInfo:
        """Wait for a status for which `wanted` returns true, and return it."""
        status = await self.change()
        while not wanted(status):
            status = await self.change(status)
        return status

    def close(self) -> None:
        """Stop watching; the last watch of a job that closes ends the queries about it."""
        self._monitor.forget(self)

    def update(self, status: JobInfo) -> None:
        """Set the status, and wake up who waits for a change; called by the monitor."""
        self._updated = self._monitor.clock()
        if status != self.status:
            self.status = status
            self.changed.set()
