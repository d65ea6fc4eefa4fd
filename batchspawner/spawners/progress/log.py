"""Remember what the waiting user was told of a start, for every tab and every Hub process.

The story is a part of the spawner's saved state: a list of ``[percentage, message]``, one for each
stage that the start has reached. While a stage lasts, its message is replaced.
"""

from __future__ import annotations

from typing import Any

from ..hub.state import commit_soon


def tell(spawner: Any, percent: int, message: str) -> None:
    """Add what there is to tell; the percentage never goes back."""
    story = [list(entry) for entry in spawner.story]
    reached = story[-1][0] if story else -1
    if percent > reached:
        spawner.story = [*story, [percent, message]]
        if spawner.job_id:
            commit_soon(spawner)
    elif story[-1][1] != message:
        spawner.story = [*story[:-1], [reached, message]]


def news(seen: list[Any], story: list[Any]) -> list[dict[str, Any]]:
    """Return the events for a page that has shown `seen` and shall show `story`.

    Texts of the scheduler go in `message`, which pages escape, never in `html_message`.
    """
    return [
        {"progress": percent, "message": message}
        for place, (percent, message) in enumerate(story)
        if seen[place : place + 1] != [[percent, message]]
    ]
