"""How long recent servers have waited in the queue.

A server's wait is a part of its saved state, so that a restarted Hub knows the waits of the
servers that run.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_WAITS = 100
"""Number of waits that are remembered for each queue."""

_MIN_WAITS = 3
"""Number of waits from which a median is given."""

_waits: dict[tuple[str, str], OrderedDict[str, float]] = {}


def note_wait(scheduler: str, queue: str, job_id: str, seconds: float) -> None:
    """Record how many seconds a job waited from its submit until it ran."""
    waits = _waits.setdefault((scheduler, queue), OrderedDict())
    waits[job_id] = seconds
    while len(waits) > _MAX_WAITS:
        waits.popitem(last=False)


def median_wait(scheduler: str, queue: str) -> float | None:
    """Return the median wait in seconds, or None if too few are known."""
    waits = _waits.get((scheduler, queue), OrderedDict())
    return quantile(waits.values(), 0.5) if len(waits) >= _MIN_WAITS else None


def quantile(values: Iterable[float], part: float) -> float:
    """Return the smallest value that at least this part of them does not exceed."""
    known = sorted(values)
    rank = -(-len(known) * round(100 * part) // 100)
    return known[max(0, rank - 1)]


def forget_waits() -> None:
    """Forget all waits."""
    _waits.clear()
