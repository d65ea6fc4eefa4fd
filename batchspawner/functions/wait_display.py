"""Status line of a long wait, on a terminal or in a notebook."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import time
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from ..rewritten_output import RewrittenOutput
from .function_job import JobReference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_F = TypeVar("_F", bound=JobReference)

_REDRAW_INTERVAL_S = 1.0
"""Seconds of a wait before its line is shown, and between two updates of it."""

_BAR_CHARACTERS = 30


def progress(futures: Iterable[_F]) -> Iterator[_F]:
    """Yield futures as they are done, and show meanwhile how many of them are.

    The line is shown on a terminal and in a notebook, after a second. Raises nothing that a call
    has raised: the `result` of its future does.
    """
    left = list(futures)
    with interruptible(left), _line(left) as line:
        while left:
            done, _ = concurrent.futures.wait(
                left, _REDRAW_INTERVAL_S, concurrent.futures.FIRST_COMPLETED
            )
            line.show()
            ready = [one for one in left if one in done]
            left[:] = [one for one in left if one not in done]
            yield from ready


def results(futures: Iterable[JobReference], timeout: float | None) -> Iterator[Any]:
    """Return the values of futures in their order, and show meanwhile how many are done.

    `timeout` is in seconds from now. When the iteration ends early, the other calls are cancelled.
    """
    end = None if timeout is None else time.monotonic() + timeout
    return _results(list(futures), end)


def _results(left: list[JobReference], end: float | None) -> Iterator[Any]:
    try:
        with interruptible(left), _line(left) as line:
            while left:
                while not left[0].done() and (seconds := _left(end)) != 0:
                    concurrent.futures.wait(left[:1], _interval(seconds))
                    line.show()
                value = left[0].result(_left(end))
                del left[0]
                line.show()
                yield value
    finally:
        for one in left:
            one.cancel()


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
    with _line([future]) as line:
        while not future.done() and (left := _left(end)) != 0:
            concurrent.futures.wait([future], _interval(left))
            line.show()
    return _left(end)


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _interval(left: float | None) -> float:
    return _REDRAW_INTERVAL_S if left is None else min(left, _REDRAW_INTERVAL_S)


def _is_watched() -> bool:
    return sys.stderr.isatty() or _is_notebook()


def _is_notebook() -> bool:
    return type(sys.stderr).__module__.startswith("ipykernel")


def _line(futures: Sequence[JobReference]) -> _Line:
    """Return a line about futures; those that the caller removes from the list are done."""
    if not _is_notebook():
        return _Line(futures)
    if len(futures) > 1 and find_spec("ipywidgets") is not None:
        return _NotebookBar(futures)
    return _NotebookLine(futures)


class _Line:
    """Line of a terminal that is rewritten in place; a bar stays in the end, as that of tqdm."""

    def __init__(self, futures: Sequence[JobReference]) -> None:
        self._futures = futures
        self._total = len(futures)
        self._started_at = self._written_at = time.monotonic()
        self._is_shown = False
        self._width = 0

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            self._end(self._text(time.monotonic()) if self._total > 1 else "")

    def show(self) -> None:
        """Show the state of the futures, if the last update is long enough ago."""
        now = time.monotonic()
        if now - self._written_at < _REDRAW_INTERVAL_S or not _is_watched():
            return
        self._written_at, self._is_shown = now, True
        self._write(self._text(now))

    def _text(self, now: float) -> str:
        seconds = now - self._started_at
        if self._total == 1:
            return f"{_state_of(self._futures[0])}  {_clock(seconds)}"[:100]
        return _bar(self._futures, self._total, seconds)

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = max(self._width, len(text))

    def _end(self, text: str) -> None:
        self._write(text)
        sys.stderr.write("\n" if text else "\r")
        sys.stderr.flush()


class _NotebookLine(_Line):
    """Output of a notebook's cell that is rewritten in place."""

    def __init__(self, futures: Sequence[JobReference]) -> None:
        super().__init__(futures)
        self._output = RewrittenOutput()

    def _write(self, text: str) -> None:
        self._output.show(text)

    def _end(self, text: str) -> None:
        self._write(text)


class _NotebookBar(_Line):
    """Bar of a notebook's cell, as tqdm.auto shows where ipywidgets are installed."""

    _bar: Any = None
    _label: Any = None

    def _write(self, text: str) -> None:
        if self._bar is None:
            self._display()
        percent, _, counts = text.split("|")
        self._bar.value = _count_done(self._futures, self._total)
        self._label.value = escape(f"{percent.strip()} {counts.strip()}")

    def _display(self) -> None:
        from IPython.display import display
        from ipywidgets import HTML, HBox, IntProgress

        self._bar, self._label = IntProgress(max=self._total), HTML()
        display(HBox([self._bar, self._label]))  # type: ignore[no-untyped-call, unused-ignore]

    def _end(self, text: str) -> None:
        self._write(text)
        self._bar.bar_style = "danger" if self._futures else "success"


def _bar(left: Sequence[JobReference], total: int, seconds: float) -> str:
    """Return a bar in the form of tqdm: percent, count, time so far and time to go."""
    done = _count_done(left, total)
    running = sum(1 for one in left if one.running())
    filled = "#" * (_BAR_CHARACTERS * done // total)
    rest = _clock(seconds / done * (total - done)) if done else "?"
    times = f"{_clock(seconds)}<{rest}"
    bar = f"{filled:<{_BAR_CHARACTERS}}"
    return f"{100 * done // total:3}%|{bar}| {done}/{total} [{times}, {running} running]"


def _count_done(left: Sequence[JobReference], total: int) -> int:
    return total - len(left) + sum(1 for one in left if one.done())


def _state_of(future: JobReference) -> str:
    job_id = future.get_job_id()
    if job_id is None:
        return "waiting for a job"
    return f"job {job_id}: {future.reason or future.state.value}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
