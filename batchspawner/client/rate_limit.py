"""When a scheduler may be queried again: a minimum interval, a burst, and back-off."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_JITTER = 0.1
"""Share of the interval by which it varies, so that several Hubs do not ask in step."""

_LONG_S = 1.0
"""Answers that take longer make the pauses longer."""

_PAUSES = 4
"""How many times as long as the answer took the pause after a long one is."""

_MAX_PAUSE_S = 30.0
"""Longest pause after an answer that took long."""

_MAX_BACK_OFF_S = 120.0
"""Longest pause between two queries while the scheduler does not answer."""


class RateLimiter:
    """A token bucket for the queries of one scheduler.

    Two queries are at least `minimum_interval` seconds apart; for a caller in a hurry that holds
    on average only: after an idle period, `burst` queries may follow each other at once. After an
    answer that took long, the next query waits long enough for a scheduler to do other work; in a
    hurry, such as when a job has reported, only as long as the answer took.
    `failures` counts the queries in a row that had no answer; while it is not 0 the pauses grow.
    `clock` returns seconds.
    """

    def __init__(
        self, minimum_interval: float, clock: Callable[[], float], burst: float = 5.0
    ) -> None:
        self.minimum_interval = minimum_interval
        self.failures = 0
        self.last_query: float | None = None
        self._clock = clock
        self._burst = self._tokens = burst
        self._counted = clock()
        self._took = 0.0

    def note_query(self) -> None:
        """Count a query that starts now."""
        self.last_query = self._clock()
        self._tokens = max(0.0, self._available() - 1)
        self._counted = self.last_query

    def note_answer(self) -> None:
        """Note that the last query has been answered just now."""
        if self.last_query is not None:
            took = self._clock() - self.last_query
            self._took = took if took > _LONG_S else 0.0

    def due(self, interval: float, *, hurry: bool = False) -> float:
        """Return the seconds until the next query, jitter included; 0 or less means now.

        `interval` is the one that is requested, in seconds; with `hurry` it is not waited for.
        """
        if self.last_query is None:
            return 0.0
        if hurry and not self.failures:
            rested = self.last_query + self._rest(1) - self._clock()
            return max(rested, (1 - self._available()) * self.minimum_interval)
        interval = max(interval, self.minimum_interval, self._rest(_PAUSES))
        if self.failures:
            pause = interval * 2.0 ** min(self.failures, 10)
            interval = max(interval, min(pause, _MAX_BACK_OFF_S))
        # The same number until the next query, whatever wakes us in between.
        jitter = random.Random(self.last_query).uniform(0.0, _JITTER)  # noqa: S311
        return self.last_query + interval * (1 + jitter) - self._clock()

    def _rest(self, pauses: int) -> float:
        """Return the seconds from the last query to the next, with a pause after a long answer."""
        return self._took + min(self._took * pauses, _MAX_PAUSE_S)

    def _available(self) -> float:
        elapsed = self._clock() - self._counted
        return min(self._burst, self._tokens + elapsed / self.minimum_interval)
