"""Futures of calls that run in jobs."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from . import wait_display
from .function_job import JobReference

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from .function_job import FunctionJob


class JobFuture(JobReference):
    """Future of a call that runs in a job.

    It is a `concurrent.futures.Future` that can also be awaited, with a reference to its job:
    https://docs.python.org/3/library/concurrent.futures.html#future-objects
    """

    def __init__(self, job: FunctionJob | None = None) -> None:
        super().__init__(job)
        self._is_whole_job = False
        self._is_noticed = False

    def set_exception(self, exception: BaseException | None) -> None:
        if exception is not None and self.job is not None and self.job.calls:
            _failures[id(self)] = (self, self.job.job_id, described(exception))
            if self._is_noticed:
                self.notice()
        super().set_exception(exception)

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[Any]], object]) -> None:
        self.notice()
        super().add_done_callback(fn)

    def notice(self) -> None:
        """Note that somebody asks how the call ends."""
        self._is_noticed = True
        _failures.pop(id(self), None)
        if self._is_whole_job and self.job is not None:
            for one in self.job.futures:
                if one is not self and isinstance(one, JobFuture):
                    one.notice()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the call and return its value, or raise its exception or why the job ended.

        Ctrl-C ends the wait but not the job. Raises TimeoutError after `timeout` seconds,
        CancelledError for a call that was cancelled, and JobTimeout, JobOutOfMemory, NodeFailed
        and so on, with the end of the log, if the job ended before the call.
        """
        with wait_display.interruptible([self]):
            left = wait_display.wait(self, timeout)
            self.notice()
            return super().result(left)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call and return what it raised, or why its job ended, or None.

        Raises TimeoutError after `timeout` seconds, CancelledError for a call that was cancelled.
        """
        with wait_display.interruptible([self]):
            left = wait_display.wait(self, timeout)
            self.notice()
            return super().exception(left)

    def __reduce__(self) -> NoReturn:
        """Raise TypeError: only the process that has submitted a call can follow it so."""
        job_id = self.job.job_id if self.job is not None and self.job.calls else ""
        cure = f", or its job id ({job_id}), for attach(job_id) there" if job_id else ""
        raise TypeError(f"a future stays in its process; hand over its result(){cure}")

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        self.notice()
        return asyncio.wrap_future(self).__await__()

    def cancel(self) -> bool:
        """Cancel the call if it has not begun; if it has a job of its own, cancel that job.

        A running call whose job is cancelled ends with JobCancelled.
        """
        job = None if self.done() else self.job
        if job is not None and job.job_id and (self._is_whole_job or job.calls == 1):
            job.cancel()
            super().cancel()
            return True
        return super().cancel()

    def log(self, follow: bool = False) -> str:
        """Return what the job has printed. With `follow`, print it until the call has ended."""
        if self.job is None:
            return ""
        self.job.was_read = True
        if follow:
            with wait_display.interruptible([self]):
                for text in self._new_lines():
                    sys.stdout.write(text)
                    sys.stdout.flush()
        return self.job.log()

    def _new_lines(self) -> Iterator[str]:
        seen = 0
        while self.job:
            ended = self.done()
            text, seen = self.job.log_from(seen)
            yield text
            if ended:
                return
            concurrent.futures.wait([self], timeout=0.5)


_failures: dict[int, tuple[JobFuture, str, str]] = {}
"""Distributed calls that have failed without anybody asking, by the id of their future."""


def unnoticed_failures() -> list[tuple[str, str]]:
    """Return the job's id and a description for each call that has failed unnoticed."""
    return [(job_id, text) for _, job_id, text in list(_failures.values())]


def described(error: BaseException) -> str:
    """Return an exception in one line, whatever its own methods do."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def gathered(futures: Sequence[JobFuture]) -> JobFuture:
    """Return the future of a job with several calls: its value is the list of their values."""
    whole = JobFuture(futures[0].job)
    whole._is_whole_job = True

    def finish() -> None:
        if not whole.set_running_or_notify_cancel():
            return
        try:
            whole.set_result([concurrent.futures.Future.result(one) for one in futures])
        except BaseException as error:  # noqa: BLE001  (as does the cancellation of one)
            concurrent.futures.Future.set_exception(whole, error)

    when_done(futures, finish)
    return whole


def give_up(futures: Sequence[concurrent.futures.Future[Any]], error: BaseException | None) -> None:
    """Fail calls that will not be done, or cancel them if `error` is None."""
    for future in futures:
        if error is None:
            concurrent.futures.Future.cancel(future)
        if future.running() or (future.done() and not future.cancelled()):
            continue  # it is being done, or was
        # `cancel` alone does not wake those who wait for the future.
        if future.set_running_or_notify_cancel():
            future.set_exception(error)


def when_done(futures: Sequence[concurrent.futures.Future[Any]], act: Callable[[], None]) -> None:
    """Call a function once when all futures are done."""
    lock = threading.Lock()
    left = len(futures)

    def one_done(_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = not left
        if last:
            act()

    for one in futures:
        concurrent.futures.Future.add_done_callback(one, one_done)
