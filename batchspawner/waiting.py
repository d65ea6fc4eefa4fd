"""Wait with a limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def within(seconds: float | None, work: Coroutine[object, object, T]) -> T:
    """Return the result of some work, or raise asyncio.TimeoutError and cancel it.

    Unlike `asyncio.wait_for` before Python 3.12, it never takes a cancellation that comes together
    with the result for nothing: a loop around it would never end.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
    except BaseException:
        task.cancel()
        raise
    if not done:
        task.cancel()
        await asyncio.wait([task])
        raise asyncio.TimeoutError
    return task.result()
