"""The progress log of a start: the same in every browser tab and every Hub process.

It is a part of the saved state of the job, an entry for each stage that the start has reached.
While a stage lasts, its message is replaced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from ..hub.commit import commit_later
from ..hub.jupyterhub import JobSpawner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_POLL_INTERVAL_S = 0.5
"""Time between two looks for something new to show."""


class DescribesStart(Protocol):
    """Backend that can describe how far a start has come."""

    async def update_estimate(self) -> None: ...

    def describe(self) -> tuple[int, str]: ...


class StartingSpawner(JobSpawner, Protocol):
    """Spawner whose backend can describe its start."""

    @property
    def backend(self) -> DescribesStart: ...


def append(spawner: JobSpawner, percent: int, message: str) -> None:
    """Add what the user is told; the percentage never goes back."""
    if spawner.job.progressed(percent, message) and spawner.job.id:
        commit_later(spawner)


def new_events(
    seen: Sequence[tuple[int, str]], progress: Sequence[tuple[int, str]]
) -> list[dict[str, Any]]:
    """Return the events for a page that has shown `seen` and should show `progress`.

    Texts of the scheduler go in `message`, which pages escape, never in `html_message`.
    """
    return [
        {"progress": percent, "message": message}
        for place, (percent, message) in enumerate(progress)
        if list(seen[place : place + 1]) != [(percent, message)]
    ]


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
