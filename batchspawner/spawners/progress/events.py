"""Tell the user who waits for a server how far it has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .log import news, tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LOOK = 0.5
"""Seconds between two looks at what the spawner knows."""


async def progress_events(spawner: Any) -> AsyncIterator[dict[str, Any]]:
    """Yield what was told of this start so far, and then each piece of news.

    It depends on nothing but the spawner's state, so that every tab shows the same.
    """
    seen: list[Any] = []
    while True:
        await spawner.backend.look_around()
        percent, message = spawner.backend.describe()
        tell(spawner, percent, f"{spawner.claim_alarm} {message}".lstrip())
        story = spawner.story
        for event in news(seen, story):
            yield event
        seen = story
        await asyncio.sleep(_LOOK)
