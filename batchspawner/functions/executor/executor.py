"""Executor: workers in jobs, behind the interface of `concurrent.futures`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ...client.blocking_client import background_loop, run
from ...concurrency import BackgroundTasks, within
from ..futures import JobFuture, when_done
from ..protocol.payload import make_call
from ..refusals import explained
from ..session import before_exit
from ..submit_limits import refuse_while_loading
from ..wait_display import results
from .pool import Pool
from .provider_selection import chosen_provider, positive, scheduler_and_size
from .tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from ..protocol.payload import PackedCall

_open: weakref.WeakSet[Executor] = weakref.WeakSet()

_DETACH_TIMEOUT_S = 5.0
"""Seconds in which workers may confirm, after Ctrl-C, that they end after their current call."""

_unfinished_pools = BackgroundTasks()
"""The waits for the end of all pools, also if their executors were garbage collected."""


class Executor(concurrent.futures.Executor):
    """Executor that runs functions in jobs whose workers pull calls.

    `scheduler` is a scheduler's name, or ``auto`` for this machine's. If there is none, and for
    ``processes``, the workers are processes of this machine. `workers`, or `max_workers` as in
    other executors, is the maximum number of workers at a time, and may be the only argument; no
    more are requested than there are calls. `retries` is how often a call is repeated that a dead
    node or a preemption has interrupted, `calls_each` the number of calls after which a worker is
    replaced, `linger` the seconds for which an idle worker waits for more calls, and `margin` the
    seconds before its walltime in which it takes no more. Each worker calls
    ``initializer(*initargs)`` before its first call; if that raises, all calls of the worker raise
    BrokenExecutor. With `results` as ``json``, nothing that workers send is unpickled here, and
    exceptions arrive in words. Without `network`, jobs exchange files instead of connecting to us.

    With `host`, jobs are submitted on that login host, through one ssh connection; `ssh_options`
    are the options of ssh. `python` runs the jobs: by default this Python, or ``python3`` on the
    host. All other options are resources of the jobs: ``queue``, ``memory``, ``runtime``,
    ``nprocs``, ``gpus``, ``account`` and options of the scheduler itself.
    """

    def __init__(
        self,
        scheduler: str | int | None = "auto",
        workers: int | None = None,
        *,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[object, ...] = (),
        retries: int = 2,
        calls_each: int | None = None,
        linger: float = 60.0,
        margin: float = 30.0,
        results: str = "pickle",
        python: str = "",
        network: bool = True,
        host: str = "",
        ssh_options: Sequence[str] = (),
        **resources: object,
    ) -> None:
        scheduler, size = scheduler_and_size(scheduler, workers, max_workers)
        if calls_each is not None:
            positive("calls_each", calls_each)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        refuse_while_loading("an Executor was to be made")
        self._by_value = bool(host)
        provider = chosen_provider(
            scheduler,
            resources,
            python,
            results=results,
            network=network,
            margin=margin,
            host=host,
            ssh_options=ssh_options,
        )
        first = None if initializer is None else self._call(initializer, tuple(initargs), {})
        self._make_pool = functools.partial(
            Pool,
            provider,
            size,
            retries=retries,
            linger=linger,
            calls_each=calls_each,
            initializer=first,
        )
        self._loop = background_loop()
        self._pool: Pool | None = None
        self._lock = threading.Lock()
        self._shut = False
        self._unsent: list[Task] = []
        self._without_arguments: set[JobFuture] = set()
        self._until_closed: asyncio.Future[None] | None = None
        _open.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> JobFuture:
        """Submit a call to the workers, and return its future.

        Arguments that are futures are replaced by their values once they are done. Raises
        CannotTravel, which names the part of the call that cannot be sent to another process.
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
            self._without_arguments.add(future)
        when_done(needed, lambda: self._add_late(future, fn, args, kwargs))
        return future

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        progress: bool = False,
        **more: Any,
    ) -> Iterator[Any]:
        """Return the values of a function for all items, in their order, as `map` does.

        Short calls are sent together anyway; `chunksize` has no effect. With `progress`, a bar
        shows on a terminal or in a notebook how many calls are done. Raises what a call has raised
        when its value is due, TimeoutError after `timeout` seconds, ValueError for a `chunksize`
        below 1, and TypeError for other keywords together with `progress`.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if progress:
            if more:
                raise TypeError(f"map with progress takes no {', '.join(more)}")
            futures = [self.submit(fn, *args) for args in zip(*iterables)]
            return results(futures, timeout)
        return super().map(fn, *iterables, timeout=timeout, **more)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further calls, and end the workers when the last call is done.

        The program does not exit before that, whether this waits or not.
        """
        with self._lock:
            self._shut = True
        _open.discard(self)
        self._loop.call_soon_threadsafe(self._close, cancel_futures)
        if wait:
            run(self._closed())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
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
        run(self._detach())

    def _add(self, task: Task, *, late: bool = False) -> None:
        with self._lock:
            if not late:
                self._refuse_when_shut()
            self._unsent.append(task)
            if len(self._unsent) == 1:
                self._loop.call_soon_threadsafe(self._send_to_pool)

    def _add_late(
        self,
        future: JobFuture,
        fn: Callable[..., Any],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> None:
        """Submit a call that had to wait for its arguments."""
        with self._lock:
            if future not in self._without_arguments:
                return  # it was cancelled meanwhile
        try:
            values = tuple(_value(one) for one in args)
            named = {name: _value(one) for name, one in kwargs.items()}
            self._add(Task(future, self._call(fn, values, named)), late=True)
        except BaseException as error:  # noqa: BLE001  (including that of a future among them)
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        with self._lock:
            self._without_arguments.discard(future)
            shut = self._shut and not self._without_arguments
        if shut:
            self._loop.call_soon_threadsafe(self._close, False)

    @explained()
    def _call(
        self, fn: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> PackedCall:
        return make_call(fn, args, kwargs, by_value=self._by_value)

    def _refuse_when_shut(self) -> None:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _send_to_pool(self) -> None:
        with self._lock:
            tasks, self._unsent = self._unsent, []
        pool = self._started_pool()
        if tasks:
            pool.add(tasks)

    def _started_pool(self) -> Pool:
        """Return the pool, which is made in the event loop, when it is first needed."""
        if self._pool is None:
            self._pool = self._make_pool()
            self._until_closed = _unfinished_pools.start(self._pool.closed())
            # The futures are settled even if nobody keeps a reference to the executor.
            close = self._pool.close
            weakref.finalize(self, self._loop.call_soon_threadsafe, close).atexit = False
        return self._pool

    def _close(self, cancel: bool) -> None:
        self._send_to_pool()
        if self._pool and cancel:
            self._pool.cancel_waiting()
            self._cancel_without_arguments()
        if self._pool and not self._without_arguments:
            self._pool.close()

    def _cancel_without_arguments(self) -> None:
        """Cancel the calls that wait for their arguments."""
        with self._lock:
            later, self._without_arguments = self._without_arguments, set()
        for future in later:
            if future.cancel():
                future.set_running_or_notify_cancel()

    async def _closed(self) -> None:
        await self._started_pool().closed()

    async def _detach(self) -> None:
        """End workers after their current call, and do not wait for that at exit."""
        if self._pool is not None and self._until_closed is not None:
            self._until_closed.cancel()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_DETACH_TIMEOUT_S, self._pool.detach())


def _value(one: object) -> object:
    return one.result() if isinstance(one, concurrent.futures.Future) else one


async def _all_closed() -> None:
    while _unfinished_pools:
        await asyncio.wait(list(_unfinished_pools))


def _finish() -> None:
    """Wait for all calls before the program exits, as `concurrent.futures` does."""
    for one in list(_open):
        one.shutdown(wait=False)
    run(_all_closed())


before_exit(_finish)
