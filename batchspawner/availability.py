"""Keep what a scheduler offers, asked once for everybody, for the forms of all users."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .errors import SchedulerError
from .runners import ask

if TYPE_CHECKING:
    from .queues import Queue
    from .runners import Runner
    from .schedulers.base import Scheduler

log = logging.getLogger(__name__)

FRESH = 30.0
"""Seconds for which an answer is used without asking again."""

PATIENCE = 2.0
"""Seconds that a form waits for an answer at most."""


@dataclass(frozen=True)
class Offer:
    """Hold the last answer; `age` is in seconds, None where there has never been an answer."""

    queues: tuple[Queue, ...] = ()
    age: float | None = None

    @property
    def is_stale(self) -> bool:
        return self.age is None or self.age > FRESH + PATIENCE


class Availability:
    """Ask one scheduler, through one runner, for its queues: when somebody looks, and rarely."""

    def __init__(self, scheduler: Scheduler, runner: Runner) -> None:
        self.scheduler = scheduler
        self.runner = runner
        self.clock = asyncio.get_running_loop().time
        self._queues: tuple[Queue, ...] = ()
        self._answered: float | None = None
        self._asked = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def look(self, patience: float = PATIENCE) -> Offer:
        """Return the newest answer that can be had within `patience` seconds, or an old one."""
        if self.scheduler.availability() is None:
            return Offer()
        if self._task is None and self.clock() - self._asked > FRESH:
            self._asked = self.clock()
            self._task = asyncio.create_task(self._ask())
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)
        age = None if self._answered is None else self.clock() - self._answered
        return Offer(self._queues, age)

    async def _ask(self) -> None:
        call = self.scheduler.availability()
        assert call is not None  # noqa: S101  (looked at before)
        try:
            queues = await ask(self.scheduler, call, self.runner)
            self._queues = tuple(queues)
            self._answered = self.clock()
        except SchedulerError as error:
            log.warning("Cannot learn the queues of %s: %s", self.scheduler.title, error)
        finally:
            self._task = None


_shared: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[Scheduler, Runner], Availability]
] = WeakKeyDictionary()


def shared_availability(scheduler: Scheduler, runner: Runner) -> Availability:
    """Return the one cache of this event loop for a scheduler and a way to reach it."""
    known = _shared.setdefault(asyncio.get_running_loop(), {})
    if (scheduler, runner) not in known:
        known[scheduler, runner] = Availability(scheduler, runner)
    return known[scheduler, runner]
