"""When a scheduler would start a job, asked before it is submitted, rarely and for all who ask."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from ..errors import SchedulerError, SubmitError
from ..runners import query
from .rate_limit import RateLimiter

if TYPE_CHECKING:
    from ..commands import Command
    from ..runners import Runner
    from ..schedulers.base import Scheduler

    _ByLoop = WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Scheduler, "StartQuestions"]]

log = logging.getLogger(__name__)

PROMPT_S = 60.0
"""A start within this time is as good as one at once."""

_MAX_AGE_S = 60.0
"""How long an answer is used, for all users who ask for the same."""

_MAX_ANSWERS = 500
_MAX_REFUSAL = 300
"""Number of answers that are kept, and of characters of a scheduler's refusal."""

_QUESTION_INTERVAL_S = 2.0
_BURST = 10.0
_USER_BURST = 5.0
"""How often a scheduler is asked for estimates: so many times at once, then every 2 seconds."""


@dataclass(frozen=True)
class ExpectedStart:
    """What a scheduler says: after how many seconds a job would start, None if it does not know.

    `refusal` are its words about a job that it would not take.
    """

    wait_s: float | None = None
    refusal: str = ""


class StartQuestions:
    """The questions of all users to one scheduler: answers are shared, and asking is limited.

    A refusal is for one user only: another may have accounts that this one has not.
    """

    _all: ClassVar[_ByLoop] = WeakKeyDictionary()

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._clock = asyncio.get_running_loop().time
        self._limit = RateLimiter(_QUESTION_INTERVAL_S, self._clock, _BURST)
        self._user_limits: dict[str, RateLimiter] = {}
        self._answers: dict[tuple[str, str], tuple[float, ExpectedStart]] = {}
        self._running: dict[tuple[str, str], asyncio.Task[ExpectedStart | None]] = {}

    @classmethod
    def of(cls, scheduler: Scheduler) -> StartQuestions:
        """Return the one object of this event loop for a scheduler."""
        known = cls._all.setdefault(asyncio.get_running_loop(), {})
        if scheduler not in known:
            known[scheduler] = cls(scheduler)
        return known[scheduler]

    async def answer(
        self, user: str, script: str, command: Command[float | None], runner: Runner
    ) -> ExpectedStart | None:
        """Return what the scheduler says about a job; None if it must not be asked now.

        `script` is the job's script as it is for every user who asks for the same, and `command`
        that of `Scheduler.expected_start`.
        """
        for key in (("", script), (user, script)):
            asked, known = self._answers.get(key, (float("-inf"), ExpectedStart()))
            if self._clock() - asked < _MAX_AGE_S:
                return known
        running = self._running.get((user, script))
        if running is None:
            if not self._may_ask(user):
                return None
            running = asyncio.create_task(self._ask(user, script, command, runner))
            self._running[user, script] = running
        return await asyncio.shield(running)

    def _may_ask(self, user: str) -> bool:
        own = self._user_limits.get(user)
        if own is None:
            own = RateLimiter(_QUESTION_INTERVAL_S, self._clock, _USER_BURST)
            self._user_limits[user] = own
        limits = (own, self._limit)
        if any(limit.due(0, hurry=True) > 0 for limit in limits):
            return False
        for limit in limits:
            limit.note_query()
        return True

    async def _ask(
        self, user: str, script: str, command: Command[float | None], runner: Runner
    ) -> ExpectedStart | None:
        try:
            start = await query(self.scheduler, command, runner)
        except SubmitError as error:
            words = error.result.text.strip() if error.result else error.message
            found = ExpectedStart(refusal=words[:_MAX_REFUSAL])
        except SchedulerError as error:
            log.info("No estimate of a start: %s", error)
            return None
        else:
            found = ExpectedStart(None if start is None else max(0.0, start - time.time()))
        finally:
            del self._running[user, script]
        for_all = "" if not found.refusal else user
        self._answers[for_all, script] = (self._clock(), found)
        while len(self._answers) > _MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        return found
