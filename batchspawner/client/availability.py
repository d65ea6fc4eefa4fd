"""Keep what a scheduler offers, asked once for everybody, for the forms of all users."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ..errors import SchedulerError
from ..runners import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..commands import Command
    from ..runners import Runner
    from ..schedulers.base import Scheduler

T = TypeVar("T")

log = logging.getLogger(__name__)

FRESH = {"availability": 30.0, "accounts": 600.0, "reservations": 60.0}
"""Seconds for which an answer is used without asking again, by the method that asks."""

WAITING = {"ahead": 30.0, "core_usage": 30.0, "core_limits": 600.0}
"""The same for what only those ask who wait."""

PATIENCE = 2.0
"""Seconds that a form waits for an answer at most."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """Hold the last answer; `age` is in seconds, None where there has never been an answer."""

    value: T | None = None
    age: float | None = None
    is_stale: bool = False


class Cached(Generic[T]):
    """Ask one scheduler one thing, through one runner: when somebody looks, and rarely."""

    def __init__(
        self,
        scheduler: Scheduler,
        runner: Runner,
        call: Callable[[], Command[T] | None],
        fresh: float,
    ) -> None:
        self.scheduler, self.runner = scheduler, runner
        self.clock = asyncio.get_running_loop().time
        self._make_call, self._fresh = call, fresh
        self._value: T | None = None
        self._answered: float | None = None
        self._asked = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def look(self, patience: float = PATIENCE) -> Answer[T]:
        """Return the newest answer that can be had within `patience` seconds, or an old one."""
        call = self._make_call()
        if call is None:
            return Answer()
        if self._task is None and self.clock() - self._asked > self._fresh:
            self._asked = self.clock()
            self._task = asyncio.create_task(self._ask(call))
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)
        if self._answered is None:
            return Answer()
        age = self.clock() - self._answered
        return Answer(self._value, age, age > self._fresh + patience)

    async def _ask(self, call: Command[T]) -> None:
        try:
            self._value = await ask(self.scheduler, call, self.runner)
            self._answered = self.clock()
        except SchedulerError as error:
            log.warning("Cannot learn what %s offers: %s", self.scheduler.title, error)
        finally:
            self._task = None


_shared: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[Scheduler, Runner, str], Cached[Any]]
] = WeakKeyDictionary()


def kept(scheduler: Scheduler, runner: Runner, method: str = "availability") -> Cached[Any]:
    """Return the one cache of this event loop for what a method of a scheduler asks."""
    known = _shared.setdefault(asyncio.get_running_loop(), {})
    key = (scheduler, runner, method)
    fresh = {**FRESH, **WAITING}[method]
    if key not in known:
        known[key] = Cached(scheduler, runner, getattr(scheduler, method), fresh)
    return known[key]
