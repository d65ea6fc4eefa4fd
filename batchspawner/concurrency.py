"""Helpers for asyncio: wait with a time limit, and run tasks in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterator

T = TypeVar("T")


async def within(seconds: float | None, work: Coroutine[object, object, T]) -> T:
    """Return the result of a coroutine; after `seconds`, cancel it and raise asyncio.TimeoutError.

    None is no time limit. Unlike `asyncio.wait_for` before Python 3.12, it never swallows a
    cancellation that arrives together with the result: a loop around it would never end.
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


class BackgroundTasks:
    """Tasks that nobody awaits, each referenced until it is done.

    The event loop itself has only weak references to its tasks.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Run an awaitable in the running event loop, and return its task."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel the tasks that still run."""
        for task in list(self._tasks):
            task.cancel()

    def __iter__(self) -> Iterator[asyncio.Future[Any]]:
        return iter(list(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)


_shared = BackgroundTasks()


def in_background(work: Awaitable[T]) -> asyncio.Future[T]:
    """Run an awaitable in the running event loop, and keep a reference until it is done."""
    return _shared.start(work)
