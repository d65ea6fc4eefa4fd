"""Reckon when a scheduler may be asked again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_JITTER = 0.1
"""Share of the interval by which it varies, so that several Hubs do not ask in step."""

_BACK_OFF_LIMIT = 120.0
"""Seconds between two queries at most while the scheduler does not answer."""


class RateLimiter:
    """Keep at least `floor` seconds between two queries, on average where somebody hurries.

    `reserve` is how many may follow each other at once after a calm, where somebody hurries.
    `failures` is how many queries in a row have had no answer; it makes the pauses grow.
    `clock` tells the seconds.
    """

    def __init__(self, floor: float, clock: Callable[[], float], reserve: float = 5.0) -> None:
        self.floor = floor
        self.failures = 0
        self.asked: float | None = None
        self._clock = clock
        self._most = self._reserve = reserve
        self._counted = clock()

    def note(self) -> None:
        """Take note of a query that begins now."""
        self.asked = self._clock()
        self._reserve = max(0.0, self._refilled() - 1)
        self._counted = self.asked

    def due(self, interval: float, *, hurry: bool = False) -> float:
        """Return the seconds until the next query, jitter included; not above 0: now."""
        if self.asked is None:
            return 0.0
        if hurry and not self.failures:
            return (1 - self._refilled()) * self.floor
        interval = max(interval, self.floor)
        if self.failures:
            pause = interval * 2.0 ** min(self.failures, 10)
            interval = max(interval, min(pause, _BACK_OFF_LIMIT))
        # The same number until the next query, whatever wakes us in between.
        jitter = random.Random(self.asked).uniform(0.0, _JITTER)  # noqa: S311
        return self.asked + interval * (1 + jitter) - self._clock()

    def _refilled(self) -> float:
        return min(self._most, self._reserve + (self._clock() - self._counted) / self.floor)
