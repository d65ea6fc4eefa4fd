"""One cell that runs elsewhere: what ``--amgr=VAR`` puts into a variable."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from ..client.blocking_client import run, start
from ..errors import BatchError, failure_of
from ..jobs import JobState
from .interrupts import Interrupts
from .progress import progress_line, show_piece
from .record import CellRecord, Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ..jobs import JobInfo
    from .backends.base import Backend
    from .program import CellProgram
    from .progress import Screen

_REFRESH_INTERVAL_S = 0.5
"""How often the progress line is written again while nothing happens."""

_KILL_TIMEOUT_S = 5.0
"""How long we wait for a killed cell to end."""


class Interrupted(BatchError):
    """Error of a cell that its user interrupted."""


class Cell:
    """A cell that was submitted to a backend: its status, its output, and its end."""

    def __init__(
        self, new_backend: Callable[[], Backend], program: CellProgram, text: str, screen: Screen
    ) -> None:
        self.backend = new_backend()
        self._new_backend = new_backend
        self.program = program
        self.text = text
        self.screen = screen
        if not self.backend.shows_progress:
            screen.hold = 0.0
        screen.gap = self.backend.separates_output
        self.record = CellRecord()
        self.interrupts = Interrupts()
        self._future: Future[None] | None = None

    def __repr__(self) -> str:
        status, waits = self.status, self.record.headline is not None
        words = status.describe() if status else "waiting" if waits else "not submitted"
        return f"<Cell {self.ident or '-'}: {words}>"

    @property
    def title(self) -> str:
        """The first line of the cell, which names it in a list."""
        return next((one.strip() for one in self.text.splitlines() if one.strip()), "")

    @property
    def ident(self) -> str:
        """The job's id, or the number of the process."""
        return self.backend.ident

    @property
    def status(self) -> JobInfo | None:
        """The last known status of the cell; None before there is one."""
        return self.record.status

    @property
    def state(self) -> JobState:
        """The last known state of the cell."""
        if self.record.status is not None:
            return self.record.status.state
        return JobState.UNKNOWN if self.record.headline is None else JobState.PENDING

    @property
    def finished(self) -> bool:
        """Whether the cell has ended and all its output has arrived."""
        return self.record.finished

    def submit(self, content: str | None = None) -> tuple[str, str]:
        """Submit the cell, or another text in its place; return what to print, and errors.

        Raises BatchError if it is refused, SyntaxError if a Python cell is not valid.
        """
        if self._future is not None:
            if not self.finished:
                raise BatchError(f"cell {self.ident} is under way; wait for it or cancel it first")
            self.backend = self._new_backend()
        self.text = self.text if content is None else content
        script = self.program.script(self.text)
        self.record = CellRecord(self.program.message_extractor)
        with self.interrupts:
            self._future = start(self._run(script))
            self._wait_for_submit()
        if self.record.headline is None and self.record.error is not None:
            raise self.record.error
        return f"{self.record.headline}\n" if self.record.headline else "", ""

    def _wait_for_submit(self) -> None:
        seen = -1
        while self.record.headline is None and not self.record.finished:
            change = self.interrupts.during(partial(self.record.wait, seen, 60))
            if change is not None:
                seen = change
            elif self.record.headline is None:
                # The job may exist already, without an id that we know.
                start(self.backend.cancel(now=True))
                raise KeyboardInterrupt

    def wait_progress(self, silent: bool = False) -> None:
        """Wait for the end, and show the progress; an interrupt (Ctrl-C) cancels the cell."""
        # It belongs below the notebook's cell that waits.
        self.screen = type(self.screen)()
        self.follow(show=not silent, output=False)

    def get_output(self) -> tuple[str, str] | tuple[None, None]:
        """Return the output and the errors of the cell, or None for each until it has ended."""
        if not self.finished:
            return None, None
        return self.record.text("stdout"), self.record.text("stderr")

    def log(self) -> str:
        """Return all that the cell has printed so far, in order of arrival."""
        return self.record.text()

    def cancel(self, *, now: bool = False) -> None:
        """Ask the cell to end, or kill it. Raises BatchError if that failed."""
        if not self.finished:
            run(self.backend.cancel(now=now))

    def failure(self) -> BatchError | None:
        """Return the exception that describes how the cell ended; None if it succeeded.

        None also if it has not ended yet.
        """
        if self.status is None or not self.status.is_final:
            return None
        return failure_of(self.status)

    def deliver(self) -> None:
        """Store the results of a cell that succeeded, once. Raises BatchError."""
        if self.finished and self.status is not None and self.status.succeeded:
            self.program.deliver(self.record)

    def follow(self, *, show: bool = True, output: bool = True) -> None:
        """Show the cell until it ends.

        The first interrupt (Ctrl-C) asks the cell to end, the second kills it. Raises Interrupted
        after either, another BatchError if the cell could not be followed to its end.
        """
        follower = _Follower(self, show, output)
        interrupts = 0
        with self.interrupts:
            while follower.is_on:
                follower.wait()
                while self.interrupts.take():
                    interrupts += 1
                    start(self._interrupt(now=interrupts > 1))
                    if interrupts > 1:
                        follower.limit_wait(_KILL_TIMEOUT_S)
                follower.show()
            if show:
                self._show_end()
            if interrupts:
                raise Interrupted(f"{self.ident or 'the cell'} was interrupted")
            if self.record.error is not None:
                raise self.record.error
            self.deliver()

    def display_outputs(self) -> None:
        """Show what the cell has printed and displayed so far, in order of arrival."""
        for piece in Reader(self.record).read():
            show_piece(piece, stderr=sys.stdout)

    def follow_outputs(self) -> None:
        """Show the same, and what comes, until the cell ends or this is interrupted."""
        reader = Reader(self.record)
        try:
            while not reader.finished:
                reader.wait(_REFRESH_INTERVAL_S)
                for piece in reader.read():
                    show_piece(piece, stderr=sys.stdout)
        except KeyboardInterrupt:
            return

    def _show_end(self) -> None:
        line = progress_line(self.record, live=False) if self.backend.shows_progress else ""
        status = self.status
        ended = status is not None and status.is_final
        self.screen.end(line, self.backend.end_message(status) if status and ended else "")

    async def _interrupt(self, *, now: bool) -> None:
        self.record.set_remark("cancelling; interrupt again to end it at once")
        try:
            await self.backend.cancel(now=now)
        except BatchError as error:
            self.record.set_remark(f"cannot cancel it: {error}")

    async def _run(self, script: bytes) -> None:
        record = self.record
        try:
            await self.backend.run(script, record)
        except BaseException as error:
            record.finish(error)
            raise
        record.finish()


class _Follower:
    """The part of a cell's record that its screen does not show yet."""

    def __init__(self, cell: Cell, show: bool, output: bool) -> None:
        self._cell = cell
        self._show = show
        self._remark = ""
        self._progress = show and cell.backend.shows_progress
        self._output = show and output
        self._reader = Reader(cell.record)
        self._deadline = float("inf")

    @property
    def is_on(self) -> bool:
        return not self._reader.finished and time.monotonic() < self._deadline

    def wait(self) -> None:
        """Wait for a change or an interrupt, or a moment."""
        self._cell.interrupts.during(partial(self._reader.wait, _REFRESH_INTERVAL_S))

    def show(self) -> None:
        """Show what has changed."""
        pieces = self._reader.read()
        record, screen = self._cell.record, self._cell.screen
        if self._show and record.remark != self._remark:
            self._remark = record.remark
            screen.remark(record.remark)
        if self._progress:
            lines = (progress_line(record, live=live) for live in (True, False))
            screen.progress(*lines)
        if self._output:
            screen.output(pieces)

    def limit_wait(self, seconds: float) -> None:
        """Wait no longer than this from now on."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)
