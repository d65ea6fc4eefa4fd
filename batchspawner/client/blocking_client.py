"""Offer `BatchClient` to code that cannot await: scripts, notebooks, other threads."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from .batch_client import BatchClient

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    from ..jobs import JobInfo, JobRequest
    from ..runners import Runner
    from ..schedulers.base import Scheduler

T = TypeVar("T")

_CLEANING_UP = 10.0
"""Seconds that what was interrupted may take to clean up, before nobody waits any more."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_left_behind: list[object] = []


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end in the library's own thread, and return its result.

    It works where an event loop runs already, as in a notebook. An interrupt (Ctrl-C) cancels it,
    and waits until it has cleaned up; another one does not wait.
    Raises RuntimeError in that thread itself, where it would wait for ever.
    """
    if threading.current_thread() is _thread:
        coroutine.close()
        raise RuntimeError(
            "this would wait for the thread in which it runs, as in a callback of a future; "
            "do it in another thread"
        )
    ended = threading.Event()
    future = start(_noting(coroutine, ended))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        ended.wait(_CLEANING_UP)
        raise


async def _noting(coroutine: Coroutine[object, object, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()


def start(coroutine: Coroutine[object, object, T]) -> Future[T]:
    """Run a coroutine in the library's own thread, and return without waiting for it."""
    return asyncio.run_coroutine_threadsafe(coroutine, background_loop())


async def elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the library's own thread, and await its result from any event loop.

    What it leaves running goes on while the caller's loop stands still or has ended.
    """
    return await asyncio.wrap_future(start(coroutine))


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of one thread that all blocking clients share, and so their queries."""
    global _loop, _thread
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="batchspawner", daemon=True)
            _thread.start()
        return _loop


def _begin_anew() -> None:
    """Forget the thread and its loop in a process that was forked: they have stayed behind."""
    global _lock, _loop, _thread
    _left_behind.append(_loop)
    _lock, _loop, _thread = threading.Lock(), None, None


os.register_at_fork(after_in_child=_begin_anew)


class BlockingClient:
    """Do what `BatchClient` does, each call returning when it is done."""

    def __init__(
        self,
        scheduler: Scheduler | str,
        runner: Runner | None = None,
        query_runner: Runner | None = None,
    ) -> None:
        self._client = BatchClient(scheduler, runner, query_runner)

    @property
    def scheduler(self) -> Scheduler:
        return self._client.scheduler

    def submit(self, request: JobRequest) -> str:
        return run(self._client.submit(request))

    def find(self, tag: str) -> list[str]:
        return run(self._client.find(tag))

    def cancel(self, job_id: str) -> None:
        run(self._client.cancel(job_id))

    def signal(self, job_id: str, number: int) -> None:
        run(self._client.signal(job_id, number))

    def status(self, job_id: str) -> JobInfo:
        return run(self._client.status(job_id))

    def wait(self, job_id: str, interval: float | None = None) -> JobInfo:
        return run(self._client.wait(job_id, interval))
