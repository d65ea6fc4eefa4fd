"""The events of a start, which JupyterHub shows to the user who waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from ..hub.jupyterhub import JobSpawner
from .log import append, new_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_POLL_INTERVAL_S = 0.5


class DescribesStart(Protocol):
    """Backend that can describe how far a start has come."""

    async def update_estimate(self) -> None: ...

    def describe(self) -> tuple[int, str]: ...


class StartingSpawner(JobSpawner, Protocol):
    """Spawner whose backend can describe its start."""

    @property
    def backend(self) -> DescribesStart: ...


async def progress_events(spawner: StartingSpawner) -> AsyncIterator[dict[str, Any]]:
    """Yield what was told of this start so far, and then everything new.

    It depends on nothing but the spawner's state, so that every tab shows the same.
    """
    seen: Sequence[tuple[int, str]] = []
    while True:
        await spawner.backend.update_estimate()
        percent, message = spawner.backend.describe()
        append(spawner, percent, f"{spawner.job.alarm} {message}".lstrip())
        progress = spawner.job.progress
        for event in new_events(seen, progress):
            yield event
        seen = progress
        await asyncio.sleep(_POLL_INTERVAL_S)
