"""Show on one line what a long wait waits for, where a person looks at a terminal or notebook."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from .futures import JobFuture

_DELAY = 1.0
"""Seconds of a wait before it is shown, and between two lines."""

_BAR = 30


def progress(futures: Iterable[JobFuture]) -> Iterator[JobFuture]:
    """Yield futures as they are done, and show meanwhile how many are."""
    left = list(futures)
    everything = tuple(left)
    with interruptible(everything), _Line() as line:
        while left:
            done, _ = concurrent.futures.wait(left, _DELAY, concurrent.futures.FIRST_COMPLETED)
            line.show(everything)
            yield from (one for one in left if one in done)
            left = [one for one in left if one not in done]


@contextlib.contextmanager
def interruptible(futures: Collection[JobFuture]) -> Iterator[None]:
    """Say after Ctrl-C which jobs go on, and how to end them."""
    try:
        yield
    except KeyboardInterrupt:
        jobs = [one.job for one in futures if one.job is not None and not one.done()]
        ids = list(dict.fromkeys(one.job_id for one in jobs if one.job_id))
        if ids:
            go_on, them = ("go on", "them") if len(ids) > 1 else ("goes on", "it")
            if not any(one.calls for one in jobs):
                # A worker's job is of no use to anybody when this program has ended.
                go_on += " until the call is done"
            told = f"job{'s' * (len(ids) > 1)} {', '.join(ids)} {go_on}. To end {them}"
            command = f"batchspawner jobs cancel {' '.join(ids)}"
            print(f"Stopped waiting; {told}: {command}", file=sys.stderr)
        raise


def wait(future: JobFuture, timeout: float | None) -> float | None:
    """Wait for a future where somebody looks; return what is left of the timeout."""
    if future.done() or not _is_watched():
        return timeout
    end = None if timeout is None else time.monotonic() + timeout
    with _Line() as line:
        while not future.done() and (left := _left(end)) != 0:
            concurrent.futures.wait([future], _DELAY if left is None else min(left, _DELAY))
            line.show([future])
    return _left(end)


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _is_watched() -> bool:
    # A notebook is no terminal, but takes back a line as one does.
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


class _Line:
    """Write one line again and again, and remove it in the end."""

    def __init__(self) -> None:
        self._begun = self._written = time.monotonic()
        self._width = 0

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()

    def show(self, futures: Collection[JobFuture]) -> None:
        """Write what there is to say of futures, when it is time to."""
        now = time.monotonic()
        if now - self._written < _DELAY or not _is_watched():
            return
        self._written = now
        seconds = int(now - self._begun)
        text = f"{_told(futures)}  {seconds // 60}:{seconds % 60:02}"[:100]
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = max(self._width, len(text))


def _told(futures: Collection[JobFuture]) -> str:
    if len(futures) == 1:
        return _told_of_one(next(iter(futures)))
    done = sum(1 for one in futures if one.done())
    running = sum(1 for one in futures if one.running())
    filled = _BAR * done // len(futures)
    return f"[{'#' * filled:<{_BAR}}] {done} of {len(futures)}, {running} running"


def _told_of_one(future: JobFuture) -> str:
    job_id = future.get_job_id()
    if job_id is None:
        return "waiting for a job"
    return f"job {job_id}: {future.reason or future.state.value}"
