"""Hold one cell that runs elsewhere: what ``--amgr=VAR`` puts into a variable."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ..client.blocking_client import run, start
from ..errors import BatchError, failure_of
from ..jobs import JobState
from .progress import progress_line
from .record import CellRecord, Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ..jobs import JobInfo
    from .backends.base import Backend
    from .program import CellProgram
    from .progress import Screen

_TICK = 0.5
"""Seconds between two looks at the progress line."""

_SOON = 5.0
"""Seconds that a cell which was ended at once gets to be gone before we stop waiting."""


class Interrupted(BatchError):
    """Report a cell whose user interrupted it."""


class Cell:
    """Follow, wait for, read and cancel a cell that was handed to a place."""

    def __init__(
        self, new_place: Callable[[], Backend], program: CellProgram, text: str, screen: Screen
    ) -> None:
        self.place = new_place()
        self._new_place = new_place
        self.program = program
        self.text = text
        self.screen = screen
        if not self.place.shows_progress:
            screen.hold = 0.0
        screen.gap = self.place.parts_output
        self.record = CellRecord()
        self._future: Future[None] | None = None

    def __repr__(self) -> str:
        status, waits = self.status, self.record.headline is not None
        words = status.describe() if status else "waiting" if waits else "not submitted"
        return f"<Cell {self.ident or '-'}: {words}>"

    @property
    def title(self) -> str:
        """What the cell is called in a list: its first line."""
        return next((one.strip() for one in self.text.splitlines() if one.strip()), "")

    @property
    def ident(self) -> str:
        """The job's id, or the number of the process."""
        return self.place.ident

    @property
    def status(self) -> JobInfo | None:
        """What is known of the cell; None before anything is."""
        return self.record.status

    @property
    def state(self) -> JobState:
        """The state of the cell now."""
        if self.record.status is not None:
            return self.record.status.state
        return JobState.UNKNOWN if self.record.headline is None else JobState.PENDING

    @property
    def finished(self) -> bool:
        """Whether the cell has ended and all its output is there."""
        return self.record.finished

    def submit(self, content: str | None = None) -> tuple[str, str]:
        """Hand the cell over, and return what there is to say of that: output and errors.

        Raises BatchError where it was refused, SyntaxError for a cell in Python that is none.
        """
        if self._future is not None:
            if not self.finished:
                raise BatchError(f"cell {self.ident} is under way; wait for it or cancel it first")
            self.place = self._new_place()
        self.text = self.text if content is None else content
        script = self.program.script(self.text)
        self.record = CellRecord(self.program.sieve)
        self._future = start(self._live(script))
        seen = -1
        try:
            while self.record.headline is None and not self.record.finished:
                seen = self.record.wait(seen, 60)
        except KeyboardInterrupt:
            # The job may exist already, without an id that we know.
            start(self.place.cancel(now=True))
            raise
        if self.record.headline is None and self.record.error is not None:
            raise self.record.error
        return f"{self.record.headline}\n" if self.record.headline else "", ""

    def wait_progress(self, silent: bool = False) -> None:
        """Wait for the end, and show how it gets on; an interrupt (Ctrl-C) cancels the cell."""
        # The place to show it is below the cell that waits.
        self.screen = type(self.screen)()
        self.follow(show=not silent, output=False)

    def get_output(self) -> tuple[str, str] | tuple[None, None]:
        """Return what the cell printed and its errors; a None each until it has ended."""
        if not self.finished:
            return None, None
        return self.record.text("stdout"), self.record.text("stderr")

    def log(self) -> str:
        """Return all that the cell has printed so far, in order of arrival."""
        return self.record.text()

    def cancel(self, *, now: bool = False) -> None:
        """Ask the cell to end, or end it at once. Raises BatchError where that failed."""
        if not self.finished:
            run(self.place.cancel(now=now))

    def failure(self) -> BatchError | None:
        """Return the exception that describes how the cell ended; None where it succeeded.

        None also where it has not ended yet.
        """
        if self.status is None or not self.status.is_final:
            return None
        return failure_of(self.status)

    def deliver(self) -> None:
        """Have the results of a cell that succeeded put where they belong. Raises BatchError."""
        if self.finished and self.status is not None and self.status.succeeded:
            self.program.deliver(self.record)

    def follow(self, *, show: bool = True, output: bool = True) -> None:
        """Show the cell until it ends.

        The first interrupt (Ctrl-C) asks the cell to end, the second ends it. Raises Interrupted
        after either, another BatchError where the cell could not be followed to its end.
        """
        follower = _Follower(self, show, output)
        interrupts = 0
        while follower.is_on:
            try:
                follower.step()
            except KeyboardInterrupt:  # noqa: PERF203  (a handler costs nothing beside a wait)
                interrupts += 1
                start(self._interrupt(now=interrupts > 1))
                if interrupts > 1:
                    follower.hurry()
        if show:
            self._show_end()
        if interrupts:
            raise Interrupted(f"{self.ident or 'the cell'} was interrupted")
        if self.record.error is not None:
            raise self.record.error
        self.deliver()

    def show_log(self) -> None:
        """Print what the cell has printed and prints, until it ends or somebody interrupts."""
        reader = Reader(self.record)
        try:
            while not reader.finished:
                for _, text in reader.read(_TICK):
                    sys.stdout.write(text)
                sys.stdout.flush()
        except KeyboardInterrupt:
            return

    def _show_end(self) -> None:
        line = progress_line(self.record, live=False) if self.place.shows_progress else ""
        status = self.status
        ended = status is not None and status.is_final
        self.screen.end(line, self.place.farewell(status) if status and ended else "")

    async def _interrupt(self, *, now: bool) -> None:
        self.record.remarked("cancelling; interrupt again to end it at once")
        try:
            await self.place.cancel(now=now)
        except BatchError as error:
            self.record.remarked(f"cannot cancel it: {error}")

    async def _live(self, script: bytes) -> None:
        record = self.record
        try:
            await self.place.run(script, record)
        except BaseException as error:
            record.finish(error)
            raise
        record.finish()


class _Follower:
    """Show what is new of a cell, step by step."""

    def __init__(self, cell: Cell, show: bool, output: bool) -> None:
        self._cell = cell
        self._show = show
        self._remark = ""
        self._progress = show and cell.place.shows_progress
        self._output = show and output
        self._reader = Reader(cell.record)
        self._patience = float("inf")

    @property
    def is_on(self) -> bool:
        return not self._reader.finished and time.monotonic() < self._patience

    def step(self) -> None:
        """Wait for news, and show them."""
        pieces = self._reader.read(_TICK)
        record, screen = self._cell.record, self._cell.screen
        if self._show and record.remark != self._remark:
            self._remark = record.remark
            screen.remark(record.remark)
        if self._progress:
            lines = (progress_line(record, live=live) for live in (True, False))
            screen.progress(*lines)
        if self._output:
            screen.output(pieces)

    def hurry(self) -> None:
        """Do not wait much longer."""
        self._patience = min(self._patience, time.monotonic() + _SOON)
