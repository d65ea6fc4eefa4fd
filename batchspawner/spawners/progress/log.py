"""The log of a start's progress: the same in every browser tab and every Hub process.

It is a part of the saved state of the job, an entry for each stage that the start has reached.
While a stage lasts, its message is replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hub.state import commit_later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..hub.jupyterhub import JobSpawner


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
