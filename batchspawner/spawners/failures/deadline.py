"""Give up a start shortly before JupyterHub does, to say to the user what it was waiting for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ...concurrency import within
from .causes import SILENT, TOO_LONG
from .job_log import log_tail
from .spawn_failure import SpawnFailure, Story

if TYPE_CHECKING:
    from collections.abc import Coroutine

_BEFORE = 2.0
"""Seconds before JupyterHub's own limit; less where that limit is short."""


_LOG_PATIENCE = 1.5
"""Seconds that the end of the log may take: JupyterHub's own limit comes soon."""


async def in_time(spawner: Any, began: float, work: Coroutine[Any, Any, None]) -> None:
    """Await the rest of a start that began at `began`. Raises SpawnFailure where it is too long."""
    timeout = spawner.start_timeout
    left = timeout - min(_BEFORE, timeout / 10) - (time.monotonic() - began)
    try:
        await within(max(0.0, left), work)
    except asyncio.TimeoutError:
        raise SpawnFailure(story=await late(spawner)) from None


async def late(spawner: Any) -> Story:
    """Return what there is to say of a server that has not started in time."""
    backend = spawner.backend
    _, message = backend.describe()
    said = f"After {spawner.start_timeout} s, the limit of this Hub: {message}."
    if backend.status is None or backend.status.state.is_waiting:
        return Story(TOO_LONG, said, spawner.job_id)
    tail = await log_tail(spawner, _LOG_PATIENCE)
    return Story(SILENT, said, spawner.job_id, spawner.job_log, tail)
