"""Status line of a long wait, on a terminal or in a notebook."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from .job import JobReference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_F = TypeVar("_F", bound=JobReference)

_REDRAW_INTERVAL_S = 1.0
"""Seconds of a wait before its line is shown, and between two updates of it."""

_BAR_CHARACTERS = 30


def progress(futures: Iterable[_F]) -> Iterator[_F]:
    """Yield futures as they are done, and show meanwhile how many of them are."""
    left = list(futures)
    everything = tuple(left)
    with interruptible(everything), _Line() as line:
        while left:
            done, _ = concurrent.futures.wait(
                left, _REDRAW_INTERVAL_S, concurrent.futures.FIRST_COMPLETED
            )
            line.show(everything)
            yield from (one for one in left if one in done)
            left = [one for one in left if one not in done]


@contextlib.contextmanager
def interruptible(futures: Collection[JobReference]) -> Iterator[None]:
    """Name the jobs that go on after Ctrl-C, and the command that cancels them."""
    try:
        yield
    except KeyboardInterrupt:
        jobs = [one.job for one in futures if one.job is not None and not one.done()]
        ids = list(dict.fromkeys(one.job_id for one in jobs if one.job_id))
        if ids:
            go_on, them = ("go on", "them") if len(ids) > 1 else ("goes on", "it")
            if not any(one.calls for one in jobs):
                # The job of a pool's worker ends with this program.
                go_on += " until the call is done"
            jobs_go_on = f"job{'s' * (len(ids) > 1)} {', '.join(ids)} {go_on}. To end {them}"
            command = f"batchspawner jobs cancel {' '.join(ids)}"
            print(f"Stopped waiting; {jobs_go_on}: {command}", file=sys.stderr)
        raise


def wait(future: JobReference, timeout: float | None) -> float | None:
    """Wait for a future with a status line, if there is a terminal or notebook to show it.

    Returns what is left of the timeout, in seconds.
    """
    if future.done() or not _is_watched():
        return timeout
    end = None if timeout is None else time.monotonic() + timeout
    with _Line() as line:
        while not future.done() and (left := _left(end)) != 0:
            concurrent.futures.wait(
                [future], _REDRAW_INTERVAL_S if left is None else min(left, _REDRAW_INTERVAL_S)
            )
            line.show([future])
    return _left(end)


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _is_watched() -> bool:
    # A notebook is not a terminal, but rewrites a line as one does.
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


class _Line:
    """Line that is rewritten in place, and removed in the end."""

    def __init__(self) -> None:
        self._started_at = self._written_at = time.monotonic()
        self._width = 0

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()

    def show(self, futures: Collection[JobReference]) -> None:
        """Show the state of futures, if the last update is long enough ago."""
        now = time.monotonic()
        if now - self._written_at < _REDRAW_INTERVAL_S or not _is_watched():
            return
        self._written_at = now
        seconds = int(now - self._started_at)
        text = f"{_summary(futures)}  {seconds // 60}:{seconds % 60:02}"[:100]
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = max(self._width, len(text))


def _summary(futures: Collection[JobReference]) -> str:
    if len(futures) == 1:
        return _state_of_one(next(iter(futures)))
    done = sum(1 for one in futures if one.done())
    running = sum(1 for one in futures if one.running())
    filled = _BAR_CHARACTERS * done // len(futures)
    return f"[{'#' * filled:<{_BAR_CHARACTERS}}] {done} of {len(futures)}, {running} running"


def _state_of_one(future: JobReference) -> str:
    job_id = future.get_job_id()
    if job_id is None:
        return "waiting for a job"
    return f"job {job_id}: {future.reason or future.state.value}"
