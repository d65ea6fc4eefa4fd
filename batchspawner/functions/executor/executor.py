"""Offer workers in jobs as a `concurrent.futures.Executor`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ...allocation.allocation import client_for
from ...client.blocking_client import background_loop, run
from ...client.job_scripts import detect
from ...schedulers import FALLBACK
from ..exit_hooks import before_exit
from ..futures import JobFuture, when_done
from ..options import job_resources
from ..protocol.payload import make_call
from ..submit_limits import refuse_recursion, refuse_while_loading
from .job_workers import JobWorkerProvider
from .pool import Pool
from .tasks import Task
from .worker_providers import ProcessProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..protocol.payload import PackedCall
    from .gateway import Gateway
    from .worker_providers import WorkerProvider

_open: weakref.WeakSet[Executor] = weakref.WeakSet()

_FAREWELL = 5.0
"""Seconds in which workers may confirm that they are to end, after Ctrl-C."""

_unfinished: set[asyncio.Future[None]] = set()
"""One for each pool whose calls are not all done, also where its executor is forgotten."""


class Executor(concurrent.futures.Executor):
    """Run functions in jobs whose workers pull calls.

    `scheduler` is ``auto`` for the one of this machine, or its name; without any, and for
    ``processes``, the workers are processes of this machine. `workers` are as many as there may be
    at a time: no more are asked for than there are calls. `retries` is how often a call is
    repeated that a dead node or a preemption has interrupted, `calls_each` after how many calls a
    worker is replaced by a fresh one, `linger` for how many seconds one waits for more, and
    `margin` how many seconds before its walltime it takes no more. Without `network`, jobs speak
    through files.

    With `host`, jobs are submitted on that login host, and all goes through one ssh connection
    that `ssh_options` are for. `python` runs the jobs: by default our own, and ``python3`` there.
    All other options say what a job asks for: ``queue``, ``memory``, ``runtime``,
    ``nprocs``, ``gpus``, ``account`` and what the scheduler itself knows.
    """

    def __init__(
        self,
        scheduler: str = "auto",
        workers: int | None = None,
        *,
        retries: int = 2,
        calls_each: int | None = None,
        linger: float = 60.0,
        margin: float = 30.0,
        python: str = "",
        network: bool = True,
        host: str = "",
        ssh_options: Sequence[str] = (),
        **resources: Any,
    ) -> None:
        self._workers = _positive("workers", os.cpu_count() or 1 if workers is None else workers)
        if calls_each is not None:
            _positive("calls_each", calls_each)
        self._settings = {"retries": retries, "linger": linger, "calls_each": calls_each}
        if isinstance(ssh_options, str):
            raise TypeError(f"ssh_options are a list of words, not {ssh_options!r}")
        refuse_while_loading("an Executor was to be made")
        self._by_value = bool(host)
        if host:
            python = python or "python3"
            self._crew = _far_crew(host, ssh_options, scheduler, resources, python, margin)
        else:
            python = python or sys.executable
            self._crew = _crew(scheduler, resources, python=python, network=network, margin=margin)
        self._loop = background_loop()
        self._pool: Pool | None = None
        self._lock = threading.Lock()
        self._shut = False
        self._new: list[Task] = []
        self._later: set[JobFuture] = set()
        self._end: asyncio.Future[None] | None = None
        _open.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> JobFuture:
        """Have a function called by a worker, and return the future of its value.

        Arguments that are futures are waited for. Raises CannotTravel, which names what of the
        call cannot be sent to another process.
        """
        future = JobFuture()
        needed = [
            one for one in (*args, *kwargs.values()) if isinstance(one, concurrent.futures.Future)
        ]
        if not needed:
            self._add(Task(future, self._call(fn, args, kwargs)))
            return future
        with self._lock:
            self._refuse_when_shut()
            self._later.add(future)
        when_done(needed, lambda: self._add_later(future, fn, args, kwargs))
        return future

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **more: Any,
    ) -> Iterator[Any]:
        """Return the values of a function for all items, in their order, as `map` does.

        Short calls travel together by themselves, whatever `chunksize` says.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        return super().map(fn, *iterables, timeout=timeout, **more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the workers when the last one is done.

        The program does not end before that, whether this waits or not.
        """
        with self._lock:
            self._shut = True
        _open.discard(self)
        self._loop.call_soon_threadsafe(self._close, cancel_futures)
        if wait:
            run(self._closed())

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool | None:
        """Wait for all calls; after Ctrl-C, cancel those that have not begun and do not wait."""
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            self.shutdown(wait=not interrupted)
        except KeyboardInterrupt:
            self._interrupt()
            raise
        if interrupted:
            self._interrupt()
        return None

    def _interrupt(self) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        run(self._leave())

    def _add(self, task: Task, *, late: bool = False) -> None:
        with self._lock:
            if not late:
                self._refuse_when_shut()
            self._new.append(task)
            if len(self._new) == 1:
                self._loop.call_soon_threadsafe(self._deliver)

    def _add_later(self, future: JobFuture, fn: Any, args: Any, kwargs: Any) -> None:
        """Submit a call that had to wait for its arguments."""
        with self._lock:
            if future not in self._later:
                return  # it was cancelled meanwhile
        try:
            values = tuple(_value(one) for one in args)
            named = {name: _value(one) for name, one in kwargs.items()}
            self._add(Task(future, self._call(fn, values, named)), late=True)
        except BaseException as error:  # noqa: BLE001  (what a future among them raised, too)
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        with self._lock:
            self._later.discard(future)
            shut = self._shut and not self._later
        if shut:
            self._loop.call_soon_threadsafe(self._close, False)

    def _call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> PackedCall:
        return make_call(fn, args, kwargs, by_value=self._by_value)

    def _refuse_when_shut(self) -> None:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _deliver(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        pool = self._pool or self._begin()
        if new:
            pool.add(new)

    def _begin(self) -> Pool:
        pool = self._pool = Pool(self._crew, self._workers, **self._settings)  # type: ignore[arg-type]
        self._end = self._loop.create_task(pool.closed())
        _unfinished.add(self._end)
        self._end.add_done_callback(_unfinished.discard)
        # Who keeps the futures only wants their values all the same.
        weakref.finalize(self, self._loop.call_soon_threadsafe, pool.close).atexit = False
        return pool

    def _close(self, cancel: bool) -> None:
        self._deliver()
        if self._pool and cancel:
            self._pool.drop()
            self._drop_later()
        if self._pool and not self._later:
            self._pool.close()

    def _drop_later(self) -> None:
        """Cancel the calls that wait for their arguments."""
        with self._lock:
            later, self._later = self._later, set()
        for future in later:
            if future.cancel():
                future.set_running_or_notify_cancel()

    async def _closed(self) -> None:
        while self._pool is None:
            await asyncio.sleep(0)
        await self._pool.closed()

    async def _leave(self) -> None:
        """Let the program end without waiting, and the workers after the call that they are at."""
        if self._pool is not None and self._end is not None:
            _unfinished.discard(self._end)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._pool.leave(), _FAREWELL)


def _value(one: Any) -> Any:
    return one.result() if isinstance(one, concurrent.futures.Future) else one


def _positive(option: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{option} must be greater than 0, not {number}")
    return number


def _crew(scheduler: str, options: dict[str, Any], **settings: Any) -> WorkerProvider:
    if scheduler == "auto":
        scheduler = detect()
        scheduler = "processes" if scheduler == FALLBACK else scheduler
    if scheduler == "processes":
        return ProcessProvider(settings["python"])
    refuse_recursion("an Executor was to be made")
    client = client_for(scheduler)
    job_resources(client.scheduler, options)  # what is not allowed is said at once
    return JobWorkerProvider(client, options, **settings)


def _far_crew(
    host: str,
    ssh_options: Sequence[str],
    scheduler: str,
    options: dict[str, Any],
    python: str,
    margin: float,
) -> WorkerProvider:
    from .remote_workers import RemoteWorkerProvider

    refuse_recursion("an Executor was to be made")
    gateway = run(_opened(host, ssh_options, scheduler, python))
    try:
        job_resources(gateway.client.scheduler, options)
    except BaseException:
        run(gateway.close())
        raise
    return RemoteWorkerProvider(gateway, options, python=python, margin=margin)


async def _opened(host: str, options: Sequence[str], scheduler: str, python: str) -> Gateway:
    from .gateway import Gateway

    return await Gateway(host, options, python).open(scheduler)


async def _all_closed() -> None:
    while _unfinished:
        await asyncio.wait(_unfinished)


def _finish() -> None:
    """Let no program end before its calls have, as `concurrent.futures` promises."""
    for one in list(_open):
        one.shutdown(wait=False)
    run(_all_closed())


before_exit(_finish)
