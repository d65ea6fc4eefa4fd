"""Be what a call that runs in a job returns: a future, and the old reference to the job."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
from typing import TYPE_CHECKING, Any

from ..jobs import JobState
from ..schedulers.slurm import Slurm
from . import wait_display

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from .job import FunctionJob


class JobFuture(concurrent.futures.Future):  # type: ignore[type-arg]
    """Wait for a call that runs in a job, and tell of the job.

    It is a `concurrent.futures.Future` that can also be awaited. The job is known once it has been
    submitted: in a bundle that is when the bundle is flushed.
    """

    def __init__(self, job: FunctionJob | None = None) -> None:
        super().__init__()
        self.job = job
        self._stands_for_job = False

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the call and return its value, or raise what it raised or how the job ended.

        Ctrl-C ends the wait and leaves the job alone. Raises TimeoutError after `timeout` seconds.
        """
        with wait_display.interruptible([self]):
            return super().result(wait_display.wait(self, timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call and return what it raised, or None."""
        with wait_display.interruptible([self]):
            return super().exception(wait_display.wait(self, timeout))

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        return asyncio.wrap_future(self).__await__()

    def cancel(self) -> bool:
        """Cancel a call that has not begun, and the job of a call that has one of its own.

        A running call of the latter kind ends with JobCancelled.
        """
        job = None if self.done() else self.job
        if job is not None and job.job_id and (self._stands_for_job or job.calls == 1):
            job.cancel()
            super().cancel()
            return True
        return super().cancel()

    def get_job_id(self) -> int | str | None:
        """Return the id of the job, or None before it is submitted: a number where it is one."""
        job_id = self.job.job_id if self.job else None
        return int(job_id) if job_id and job_id.isdecimal() else job_id

    def get_exit_code(self) -> int | None:
        """Return 0 for a call that succeeded, None for one that has not ended."""
        if not self.done() or self.cancelled():
            return None
        if super().exception() is None:
            return 0
        status = getattr(super().exception(), "status", None)
        # A shell command has an exit status, a job that died may have one.
        code = status if isinstance(status, int) else getattr(status, "exit_code", None)
        return code or 1

    def get_info(self) -> dict[str, Any]:
        """Return what is known of the job and of the call, as slurminade's references do."""
        job = self.job.info() if self.job else {}
        return {
            **job,
            "job_id": self.get_job_id(),
            "exit_code": self.get_exit_code(),
            "state": self.state.value,
            "on_slurm": job.get("scheduler") == Slurm.name,
        }

    def __int__(self) -> int:
        job_id = self.get_job_id()
        if not isinstance(job_id, int):
            raise TypeError(f"{self!r} has no job id that is a number")
        return job_id

    @property
    def state(self) -> JobState:
        """The state of the job, as far as it is known without asking."""
        if self.cancelled():
            return JobState.CANCELLED
        if self.done():
            return JobState.FAILED if super().exception() else JobState.COMPLETED
        known = self.job.state if self.job else JobState.PENDING
        return JobState.RUNNING if known is JobState.PENDING and self.running() else known

    @property
    def reason(self) -> str:
        """Why the job waits, or how it ended, in the scheduler's words."""
        return self.job.reason if self.job else ""

    def log(self, follow: bool = False) -> str:
        """Return what the job has printed. With `follow`, print it until the call has ended."""
        if self.job is None:
            return ""
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

    def signal(self, number: int | str) -> None:
        """Send a signal to the job: a number, or a name such as ``USR1``."""
        if self.job is None:
            raise ValueError("the call has not been submitted yet")
        self.job.signal(number)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} job_id={self.get_job_id()} {self.state.value}"
            f" at {id(self):#x}>"
        )


def gathered(futures: Sequence[JobFuture]) -> JobFuture:
    """Return a future for one job that does several calls: its value is the list of theirs."""
    whole = JobFuture(futures[0].job)
    whole._stands_for_job = True

    def finish() -> None:
        if not whole.set_running_or_notify_cancel():
            return
        try:
            whole.set_result([one.result() for one in futures])
        except BaseException as error:  # noqa: BLE001  (also that one of them was cancelled)
            whole.set_exception(error)

    when_done(futures, finish)
    return whole


def give_up(futures: Sequence[JobFuture], error: BaseException | None) -> None:
    """Fail calls that will not be done, or cancel them where there is nothing to say of it."""
    for future in futures:
        if error is None:
            concurrent.futures.Future.cancel(future)
        if future.running() or (future.done() and not future.cancelled()):
            continue  # somebody sees it to its end
        # Only now do those hear of it who wait for a call that was cancelled.
        if future.set_running_or_notify_cancel():
            future.set_exception(error)


def when_done(futures: Sequence[concurrent.futures.Future[Any]], act: Callable[[], None]) -> None:
    """Do something once when all futures are done."""
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
        one.add_done_callback(one_done)
