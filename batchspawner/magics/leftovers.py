"""Remove the folders of jobs that have ended, also where this process ends before them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..allocation import Allocation

_PATIENCE = 3.0
"""Seconds that the end of this process waits for the end of jobs."""

_allocations: set[Allocation] = set()
_tasks: set[asyncio.Future[None]] = set()
_lock = threading.Lock()


def clean_up(allocation: Allocation) -> None:
    """Close an allocation as soon as its job has ended: until then it may write its log."""
    with _lock:
        if not _allocations:
            atexit.register(_at_exit)
        _allocations.add(allocation)
    task = asyncio.ensure_future(_close(allocation))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _close(allocation: Allocation) -> None:
    await allocation.ended()
    await allocation.close()
    _allocations.discard(allocation)


def _at_exit() -> None:
    until = time.monotonic() + _PATIENCE
    while _allocations and time.monotonic() < until:
        time.sleep(0.05)
    for allocation in list(_allocations):
        with contextlib.suppress(OSError):
            allocation.call.close()
