"""What a scheduler offers, cached for the forms of all users."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from ..errors import SchedulerError
from ..runners import own_name, query

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..commands import Command
    from ..jobs import JobInfo
    from ..runners import Runner
    from ..schedulers.base import Scheduler

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_AGE_S = {"availability": 30.0, "accounts": 600.0, "reservations": 60.0}
"""How long an answer is used before the scheduler is asked again, by the method that asks."""

MAX_AGE_WAITING_S = {"ahead": 30.0, "core_usage": 30.0, "core_limits": 600.0}
"""The same for what is asked only while a job waits."""

GET_TIMEOUT_S = 2.0
"""How long a form waits for an answer."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The last answer, and its age in seconds, which is None if there has never been an answer.

    It is stale if it is older than it should be, because the scheduler does not answer.
    """

    value: T | None = None
    age: float | None = None
    is_stale: bool = False


class CachedAnswer(Generic[T]):
    """The answer to one command of one scheduler, renewed when it is needed and too old.

    `max_age` is in seconds.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        runner: Runner,
        make_command: Callable[[], Command[T] | None],
        max_age: float,
    ) -> None:
        self.scheduler, self.runner = scheduler, runner
        self.clock = asyncio.get_running_loop().time
        self._make_command, self._max_age = make_command, max_age
        self._value: T | None = None
        self._answered: float | None = None
        self._asked = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def get(self, timeout: float = GET_TIMEOUT_S) -> Answer[T]:
        """Return the newest answer that arrives within `timeout` seconds, or an old one."""
        command = self._make_command()
        if command is None:
            return Answer()
        if self._task is None and self.clock() - self._asked > self._max_age:
            self._asked = self.clock()
            self._task = asyncio.create_task(self._ask(command))
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout)
        if self._answered is None:
            return Answer()
        age = self.clock() - self._answered
        return Answer(self._value, age, age > self._max_age + timeout)

    def expire(self) -> None:
        """Ask the scheduler again the next time, however new the answer is."""
        self._asked = float("-inf")

    async def _ask(self, command: Command[T]) -> None:
        try:
            self._value = await query(self.scheduler, command, self.runner)
            self._answered = self.clock()
        except SchedulerError as error:
            log.warning("Cannot learn what %s offers: %s", self.scheduler.title, error)
        finally:
            self._task = None


_caches: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[Scheduler, Runner, str], CachedAnswer[Any]]
] = WeakKeyDictionary()


def cached_answer(
    scheduler: Scheduler, runner: Runner, method: str = "availability"
) -> CachedAnswer[Any]:
    """Return the one cache of this event loop for the answer to a method of a scheduler."""
    max_age = {**MAX_AGE_S, **MAX_AGE_WAITING_S}[method]
    return _cache(scheduler, runner, method, getattr(scheduler, method), max_age)


def cached_own_jobs(scheduler: Scheduler, runner: Runner) -> CachedAnswer[list[JobInfo]]:
    """Return the cache for the listing of the jobs of this process's user."""
    command = partial(scheduler.own_jobs, own_name())
    return _cache(scheduler, runner, "own_jobs", command, scheduler.own_jobs_interval_s)


def _cache(
    scheduler: Scheduler,
    runner: Runner,
    method: str,
    make_command: Callable[[], Command[Any] | None],
    max_age: float,
) -> CachedAnswer[Any]:
    known = _caches.setdefault(asyncio.get_running_loop(), {})
    key = (scheduler, runner, method)
    if key not in known:
        known[key] = CachedAnswer(scheduler, runner, make_command, max_age)
    return known[key]
