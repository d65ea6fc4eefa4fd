"""Tracebacks of errors that end in the caller's line, and not inside of this library."""

from __future__ import annotations

import os
import sys
import traceback
from itertools import dropwhile, takewhile
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Hook = Callable[[type[BaseException], BaseException, "TracebackType | None"], Any]

_OWN = "batchspawner"
_IN_BETWEEN = ("asyncio", "concurrent")
"""Packages of the standard library that call us, and that we call."""


def shortened(found: TracebackType | None) -> TracebackType | None:
    """Return a traceback up to the line that calls this library; all of it if there is none."""
    callers = list(takewhile(lambda one: _package(one) != _OWN, _each(found)))
    while callers and _package(callers[-1]) in _IN_BETWEEN:
        callers.pop()
    short: TracebackType | None = None
    for one in reversed(callers):
        short = TracebackType(short, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return short or found


def notebook_lines(error: BaseException) -> list[str]:
    """Return what a notebook shows of an error: the caller's lines, the message, what to do."""
    frames = list(takewhile(lambda one: _package(one) != _OWN, _each(error.__traceback__)))
    frames = [one for one in frames if _package(one) not in _IN_BETWEEN]
    frames = list(dropwhile(lambda one: _package(one) == "IPython", frames))
    places = [
        f"{_file(one.filename)}line {one.lineno}: {one.line}"
        for frame in frames
        for one in traceback.extract_tb(frame, limit=1)
    ]
    return [*places, f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]


def add_note(error: BaseException, note: str) -> None:
    """Add a line to what is shown of an error, as Python 3.11 does: https://peps.python.org/pep-0678."""
    notes = error.__dict__.setdefault("__notes__", [])
    if note not in notes:
        notes.append(note)


def install_hook(kinds: type[BaseException]) -> None:
    """Make the end of a program by one of these errors show a short traceback."""
    if not getattr(sys.excepthook, "shows_short_tracebacks", False):
        sys.excepthook = _hook(sys.excepthook, kinds)


def _hook(previous: Hook, kinds: type[BaseException]) -> Hook:
    def show(kind: type[BaseException], error: BaseException, found: TracebackType | None) -> None:
        if not isinstance(error, kinds):
            previous(kind, error, found)
            return
        short = shortened(found)
        previous(kind, error.with_traceback(short), short)
        if sys.version_info < (3, 11):
            print(*getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)

    show.shows_short_tracebacks = True  # type: ignore[attr-defined]
    return show


def _each(found: TracebackType | None) -> list[TracebackType]:
    entries = []
    while found is not None:
        entries.append(found)
        found = found.tb_next
    return entries


def _package(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _file(name: str) -> str:
    """Return the name of a file of the user's own; nothing for a cell."""
    is_cell = name.startswith("<") or "ipykernel_" in name
    return "" if is_cell else f"{os.path.basename(name)}, "  # noqa: PTH119
