"""Helpers for asyncio: wait with a time limit or for events, and run tasks in the background."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence

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


async def turn() -> None:
    """Wait for a turn of one's own: of many callers, each goes on in another round of the loop.

    Otherwise nobody else has a turn before all of them have done the work that follows.
    """
    lock = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with lock:
        await asyncio.sleep(0)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class SmallEvent:
    """Event like that of asyncio, of which a Hub has some for each of thousands of servers.

    It takes a tenth of the memory, `any_set` waits for several of them without a task for each, and
    it can be made where no event loop runs, also in Python 3.9.
    """

    __slots__ = ("_callbacks", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._callbacks: tuple[Callable[[], object], ...] = ()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for callback in self._callbacks:
            callback()

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        await any_set([self])

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Call a function each time the event is set, from now on."""
        self._callbacks += (callback,)

    def remove_callback(self, callback: Callable[[], object]) -> None:
        """Do not call the function any more."""
        self._callbacks = tuple(one for one in self._callbacks if one != callback)


async def any_set(events: Sequence[SmallEvent], timeout: float | None = None) -> bool:
    """Wait until one of the events is set; return False after `timeout` seconds without that."""
    if any(one.is_set() for one in events):
        return True
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[bool] = loop.create_future()
    wake_up = partial(_wake_up, waiting, True)
    alarm = None if timeout is None else loop.call_later(timeout, _wake_up, waiting, False)
    for one in events:
        one.add_callback(wake_up)
    try:
        return await waiting
    finally:
        for one in events:
            one.remove_callback(wake_up)
        if alarm is not None:
            alarm.cancel()


def _wake_up(waiting: asyncio.Future[bool], is_set: bool) -> None:
    if not waiting.done():
        waiting.set_result(is_set)


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
