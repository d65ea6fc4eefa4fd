"""Figures of the history of starts, as its pictures and programs need them."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..hub.history import STARTED
from .wait_statistics import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..hub.history import Start

DAYS = 14
"""Number of days that are shown, today included."""

_DAY_S = 86400
_MAX_QUEUES = 20


def summary(starts: Sequence[Start], now: float | None = None) -> dict[str, Any]:
    """Return the starts of the last days as JSON.

    - `days`: a list of {"day": "2026-11-30", "started": 5, "failed": {CAUSE: number}}, in UTC
    - `causes`: {CAUSE: number} of all these days, the most frequent first
    - `waits`: a list of {"scheduler", "queue", "starts", "median_s", "p90_s"}, the most used first
    """
    today = int((time.time() if now is None else now) // _DAY_S)
    by_day: dict[int, Counter[str]] = {day: Counter() for day in range(today - DAYS + 1, today + 1)}
    waits: dict[tuple[str, str], list[float]] = {}
    for start in starts:
        outcomes = by_day.get(start.at // _DAY_S)
        if outcomes is None:
            continue
        outcomes[start.outcome] += 1
        if start.waited_s is not None:
            waits.setdefault((start.scheduler, start.queue), []).append(start.waited_s)
    total = sum(by_day.values(), Counter())
    total.pop(STARTED, None)
    return {
        "days": [_day(day, outcomes) for day, outcomes in by_day.items()],
        "causes": dict(total.most_common()),
        "waits": [
            {
                "scheduler": scheduler,
                "queue": queue,
                "starts": len(known),
                "median_s": quantile(known, 0.5),
                "p90_s": quantile(known, 0.9),
            }
            for (scheduler, queue), known in sorted(waits.items(), key=lambda one: -len(one[1]))
        ][:_MAX_QUEUES],
    }


def _day(day: int, outcomes: Counter[str]) -> dict[str, Any]:
    failed = {word: number for word, number in sorted(outcomes.items()) if word != STARTED}
    name = time.strftime("%Y-%m-%d", time.gmtime(day * _DAY_S))
    return {"day": name, "started": outcomes[STARTED], "failed": failed}
