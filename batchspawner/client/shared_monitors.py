"""Share one monitor among all who ask the same scheduler in the same way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .monitor import Monitor

if TYPE_CHECKING:
    from ..runners import Runner
    from ..schedulers.base import Scheduler

_monitors: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Scheduler, Runner], Monitor]] = (
    WeakKeyDictionary()
)


def shared_monitor(scheduler: Scheduler, runner: Runner) -> Monitor:
    """Return the one monitor of this event loop for a scheduler and a way to reach it."""
    monitors = _monitors.setdefault(asyncio.get_running_loop(), {})
    if (scheduler, runner) not in monitors:
        monitors[scheduler, runner] = Monitor(scheduler, runner)
    return monitors[scheduler, runner]


def all_monitors() -> list[Monitor]:
    """Return every monitor of this process, for metrics."""
    return [
        one
        for loop, monitors in list(_monitors.items())
        if not loop.is_closed()
        for one in list(monitors.values())
    ]
