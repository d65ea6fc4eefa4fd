"""Last message of a server that is told to end, as a scheduler tells one whose job is cancelled."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from ..client import blocking_client

if TYPE_CHECKING:
    from types import FrameType

    from .collector import Collector

_ANNOUNCE_S = 0.3
"""How long the end of the server waits until its browsers have heard of it."""


def announce_end_at(number: int, collector: Collector) -> None:
    """Send all browsers that this server ends when a signal comes, before the server's handler.

    It must be called in the main thread, in the server's event loop.
    """
    handler = signal.getsignal(number)
    loop = asyncio.get_running_loop()

    def announce(_: int, frame: FrameType | None) -> None:
        # Another signal ends the server at once.
        signal.signal(number, handler)
        blocking_client.start(collector.announce_end())
        if callable(handler):
            loop.call_soon_threadsafe(loop.call_later, _ANNOUNCE_S, handler, number, frame)

    if callable(handler):
        signal.signal(number, announce)
