"""`BatchClient` for code that cannot await: scripts, notebooks, other threads."""

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

_CLEANUP_TIMEOUT_S = 10.0
"""How long an interrupted coroutine may take to clean up."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_loops_before_fork: list[object] = []


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end in the library's own thread, and return its result.

    It works where an event loop runs already, as in a notebook. An interrupt (Ctrl-C) cancels the
    coroutine, and waits until it has cleaned up; another one does not wait. Raises what the
    coroutine raises, and RuntimeError in the library's own thread, which would wait for itself.
    """
    if is_own_thread():
        coroutine.close()
        raise RuntimeError(
            "this would wait for the thread in which it runs, as in a callback of a future; "
            "do it in another thread"
        )
    ended = threading.Event()
    future = start(_set_when_ended(coroutine, ended))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        ended.wait(_CLEANUP_TIMEOUT_S)
        raise


def is_own_thread() -> bool:
    """Return whether this is the library's own thread, which must not wait for itself."""
    return threading.current_thread() is _thread


async def _set_when_ended(coroutine: Coroutine[object, object, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()


def start(coroutine: Coroutine[object, object, T]) -> Future[T]:
    """Start a coroutine in the library's own thread, and return its future at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, background_loop())


async def elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the library's own thread, and await its result from any event loop.

    The tasks that it starts go on while the caller's loop is blocked or has ended.
    """
    return await asyncio.wrap_future(start(coroutine))


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of the library's own thread, started if need be.

    All blocking clients of a process use it, and so share their queries.
    """
    global _loop, _thread
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="batchspawner", daemon=True)
            _thread.start()
        return _loop


def _reset_after_fork() -> None:
    """Forget the thread and its loop in a forked process, which does not have them."""
    global _lock, _loop, _thread
    _loops_before_fork.append(_loop)
    _lock, _loop, _thread = threading.Lock(), None, None


os.register_at_fork(after_in_child=_reset_after_fork)


class BlockingClient:
    """A client of one scheduler whose calls return when they are done.

    Its arguments, and what its methods do, return and raise, are those of `BatchClient`::

        client = BlockingClient("slurm")
        job_id = client.submit(JobRequest("#!/bin/sh\\nhostname\\n", tag="try-1"))
        print(client.wait(job_id).describe())

    It can be used from any thread, and in a notebook. An interrupt (Ctrl-C) ends a call, not the
    job.
    """

    def __init__(
        self,
        scheduler: Scheduler | str,
        runner: Runner | None = None,
        query_runner: Runner | None = None,
    ) -> None:
        self._client = BatchClient(scheduler, runner, query_runner)

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that this client speaks to."""
        return self._client.scheduler

    def submit(self, request: JobRequest) -> str:
        """Submit a job exactly once, and return its id. Raises SubmitError if it was refused."""
        return run(self._client.submit(request))

    def find(self, tag: str) -> list[str]:
        """Return the ids of our waiting and running jobs that were submitted with this tag."""
        return run(self._client.find(tag))

    def cancel(self, job_id: str) -> None:
        """Cancel a job, waiting or running; it is no error if the job has ended already."""
        run(self._client.cancel(job_id))

    def signal(self, job_id: str, number: int) -> None:
        """Send a signal, such as ``signal.SIGUSR1``, to a running job."""
        run(self._client.signal(job_id, number))

    def status(self, job_id: str) -> JobInfo:
        """Return what the next answer of the scheduler says about a job."""
        return run(self._client.status(job_id))

    def wait(self, job_id: str, interval: float | None = None) -> JobInfo:
        """Wait until a job has ended, and return its last status; `interval` is in seconds."""
        return run(self._client.wait(job_id, interval))
