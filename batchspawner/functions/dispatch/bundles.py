"""Bundles: many short calls in few jobs."""

from __future__ import annotations

import logging
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from ...client.blocking_client import is_own_thread
from ..calls import FunctionCall
from ..futures import JobFuture, gathered, give_up
from ..session import before_exit
from ..submit_limits import warn_of_flush
from .base import Dispatcher
from .batch import submit_in_thread
from .current_dispatcher import get_dispatcher, set_dispatcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from ..calls import DispatchOptions, DistributableFunction


log = logging.getLogger(__name__)

_bundles: weakref.WeakSet[JobBundling] = weakref.WeakSet()


class JobBundling(Dispatcher):
    """Dispatcher that collects calls and submits up to `max_size` of them as one job.

    As a context manager it takes all calls that are distributed inside the block. A job does its
    calls in turn; calls with different options or dependencies go to different jobs. If the block
    ends with an exception, the calls that were not flushed are cancelled and never submitted.
    Outside of a block, they are also submitted when nothing refers to the bundle any more, and when
    the program ends.
    """

    def __init__(self, max_size: int) -> None:
        if max_size < 1:
            raise ValueError(f"max_size must be greater than 0, not {max_size}")
        self.max_size = max_size
        self._outer: Dispatcher | None = None
        self._groups: dict[
            object, tuple[DispatchOptions, list[tuple[FunctionCall, JobFuture]]]
        ] = {}
        self._jobs: list[JobFuture] = []
        self._flushes = 0
        _bundles.add(self)

    @property
    def subdispatcher(self) -> Dispatcher:
        """The dispatcher that gets the bundles."""
        return self._outer or get_dispatcher()

    def dispatch(
        self, calls: Sequence[FunctionCall], futures: Sequence[JobFuture], options: DispatchOptions
    ) -> None:
        if not self.is_sequential():
            # An error is raised here, and later changes of the arguments do not count.
            _ = [call.packed for call in calls]
        group = self._groups.setdefault(options.key, (options, []))[1]
        group += zip(calls, futures)

    def distribute(
        self, call: FunctionCall, options: DispatchOptions, *, alone: bool = False
    ) -> JobFuture:
        if alone:
            return self.subdispatcher.distribute(call, options, alone=True)
        return super().distribute(call, options)

    def add(self, func: DistributableFunction, *args: Any, **kwargs: Any) -> JobFuture:
        """Add a call to the bundle, like ``func.distribute`` inside the block."""
        return self.distribute(FunctionCall(func, args, kwargs), func.make_options())

    def flush(self) -> list[JobFuture]:
        """Submit the calls collected so far, and return a future for each job.

        Its value is the list of the values of the calls in it.
        """
        jobs = self._submit()
        if jobs:
            self._flushes += 1
            warn_of_flush(self._flushes)
        return jobs

    def _submit(self) -> list[JobFuture]:
        jobs: list[JobFuture] = []
        try:
            for options, group in self._groups.values():
                _remove_cancelled(group)
                while group:
                    calls, futures = zip(*group[: self.max_size])
                    self.subdispatcher.dispatch(calls, futures, options)
                    del group[: self.max_size]
                    jobs.append(gathered(futures))
        finally:
            self._jobs += jobs
            self._drop()
        return jobs

    def _submit_at_end(self) -> None:
        """Submit what nobody has flushed; an error is logged, because nobody could catch it."""
        try:
            self._submit()
        except Exception:
            log.exception("Calls of a bundle that was not flushed could not be submitted")

    def _drop(self) -> None:
        """Cancel the calls that were not submitted."""
        groups, self._groups = self._groups, {}
        give_up([future for _, group in groups.values() for _, future in group], None)

    def get_all_jobs(self) -> list[JobFuture]:
        """Return a future for each job so far."""
        return list(self._jobs)

    def get_all_job_ids(self) -> list[int | str]:
        """Return the ids of all jobs so far."""
        return [job_id for job in self._jobs if (job_id := job.get_job_id()) is not None]

    def is_sequential(self) -> bool:
        return self.subdispatcher.is_sequential()

    def join(self) -> None:
        self.flush()
        self.subdispatcher.join()

    def __enter__(self) -> Self:
        self._outer = get_dispatcher()
        set_dispatcher(self)
        return self

    def __del__(self) -> None:
        if not getattr(self, "_groups", None):
            return
        if is_own_thread():
            # Python frees an object in any thread, but this one cannot wait for a submit.
            submit_in_thread(self._submit_at_end)
        else:
            self._submit_at_end()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        set_dispatcher(self._outer)
        if kind is None:
            self._submit()
        else:
            self._drop()


def _remove_cancelled(group: list[tuple[FunctionCall, JobFuture]]) -> None:
    give_up([future for _, future in group if future.cancelled()], None)
    group[:] = [one for one in group if not one[1].cancelled()]


class Batch(JobBundling):
    """Old name of `JobBundling`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("Batch is now called JobBundling", DeprecationWarning, stacklevel=2)
        super().__init__(*args, **kwargs)


def _flush_all() -> None:
    for one in list(_bundles):
        one._submit_at_end()


# After the hooks of the dispatchers, and therefore called before those.
before_exit(_flush_all)
