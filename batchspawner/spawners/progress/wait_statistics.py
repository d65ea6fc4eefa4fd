"""Know how long servers have waited here lately.

A server's wait is a part of its saved state, so that a Hub that restarts learns the waits of the
servers that run.
"""

from __future__ import annotations

from collections import OrderedDict
from statistics import median

_KEPT = 100
"""How many waits are kept for each queue."""

_ENOUGH = 3
"""From how many waits on one can say what is usual."""

_waits: dict[tuple[str, str], OrderedDict[str, float]] = {}


def note_wait(scheduler: str, queue: str, job_id: str, seconds: float) -> None:
    """Take note of how long a job waited from its submit until it ran."""
    waits = _waits.setdefault((scheduler, queue), OrderedDict())
    waits[job_id] = seconds
    while len(waits) > _KEPT:
        waits.popitem(last=False)


def usual_wait(scheduler: str, queue: str) -> float | None:
    """Return the median wait in seconds, or None where too few are known."""
    waits = _waits.get((scheduler, queue), OrderedDict())
    return median(waits.values()) if len(waits) >= _ENOUGH else None


def forget_waits() -> None:
    """Forget all of them."""
    _waits.clear()
