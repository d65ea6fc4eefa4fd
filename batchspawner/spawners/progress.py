"""Tell the user who waits for a server how far it has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LOOK = 0.5
"""Seconds between two looks at what the spawner knows; this asks no scheduler."""


async def progress_events(spawner: Any) -> AsyncIterator[dict[str, Any]]:
    """Yield an event when there is news; the percentage never goes back.

    Texts of the scheduler go in `message`, which pages escape, never in `html_message`.
    """
    highest, last = 0, ""
    while True:
        percent, message = spawner.backend.describe()
        if spawner.claim_alarm:
            message = f"{spawner.claim_alarm} {message}"
        highest = max(highest, percent)
        if message != last:
            last = message
            yield {"progress": highest, "message": message}
        await asyncio.sleep(_LOOK)
