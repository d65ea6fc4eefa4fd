"""When a scheduler may be queried again: a minimum interval, a burst, and back-off."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_JITTER = 0.1
"""Share of the interval by which it varies, so that several Hubs do not ask in step."""

_MAX_BACK_OFF_S = 120.0
"""Longest pause between two queries while the scheduler does not answer."""


class RateLimiter:
    """A token bucket for the queries of one scheduler.

    Two queries are at least `minimum_interval` seconds apart; for a caller in a hurry that holds
    on average only: after an idle period, `burst` queries may follow each other at once.
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

    def note_query(self) -> None:
        """Count a query that starts now."""
        self.last_query = self._clock()
        self._tokens = max(0.0, self._available() - 1)
        self._counted = self.last_query

    def due(self, interval: float, *, hurry: bool = False) -> float:
        """Return the seconds until the next query, jitter included; 0 or less means now.

        `interval` is the one that is requested, in seconds; with `hurry` it is not waited for.
        """
        if self.last_query is None:
            return 0.0
        if hurry and not self.failures:
            return (1 - self._available()) * self.minimum_interval
        interval = max(interval, self.minimum_interval)
        if self.failures:
            pause = interval * 2.0 ** min(self.failures, 10)
            interval = max(interval, min(pause, _MAX_BACK_OFF_S))
        # The same number until the next query, whatever wakes us in between.
        jitter = random.Random(self.last_query).uniform(0.0, _JITTER)  # noqa: S311
        return self.last_query + interval * (1 + jitter) - self._clock()

    def _available(self) -> float:
        elapsed = self._clock() - self._counted
        return min(self._burst, self._tokens + elapsed / self.minimum_interval)
