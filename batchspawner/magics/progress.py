"""What a waiting user sees of a cell: a progress line that is rewritten, the output, the end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ..jobs import JobState
from ..rewritten_output import RewrittenOutput

if TYPE_CHECKING:
    from typing import TextIO

    from IPython.core.interactiveshell import InteractiveShell

    from .record import CellRecord, Piece

_MARKS = ((10, 1, "."), (110, 10, "o"), (710, 60, "O"), (float("inf"), 600, "@"))
"""Marks of the progress line: up to which second, for how many seconds each, and which."""

OUTPUT_DELAY_S = 0.4
"""How long the first output waits, so that the output of a short cell is below its end line."""


def marks(seconds: float) -> str:
    """Return the marks for a time: a dot a second, and coarser ones when it gets long."""
    text, begin = "", 0.0
    for end, length, mark in _MARKS:
        if seconds > begin:
            text += mark * int((min(seconds, end) - begin) // length)
        begin = end
    return text or "."


def progress_line(record: CellRecord, *, live: bool) -> str:
    """Return the progress line; `live` adds what is of no interest once the cell has ended."""
    status = record.status
    if not record.started:
        return _waiting(record, live=live)
    seconds = (record.ended or time.time()) - record.started
    line = f"Running {marks(seconds)}"
    if not live or record.ended:
        return line
    host = f" on {status.host}" if status is not None and status.host else ""
    suspended = status is not None and status.state is JobState.SUSPENDED
    return f"{line} {_clock(seconds)}{host}{', suspended' if suspended else ''}"


def _waiting(record: CellRecord, *, live: bool) -> str:
    seconds = (record.ended or time.time()) - record.accepted
    line = f"Waiting for resources {marks(seconds)}"
    status = record.status
    if not live or record.ended or status is None:
        return line
    details = [_clock(seconds)]
    if status.reason:
        details.append(f"({status.reason})")
    if status.expected_start:
        at = time.strftime("%a %H:%M", time.localtime(status.expected_start))
        details.append(f"expected to start on {at}")
    return " ".join([line, *details])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class Screen:
    """Plain lines, for files, pipes and tests, where nothing can be rewritten."""

    def __init__(self) -> None:
        self.hold = OUTPUT_DELAY_S
        self.gap = True
        self._held: list[Piece] = []
        self._since = 0.0
        self._line = ""
        self._streaming = False
        self._column = 0

    def headline(self, text: str) -> None:
        """Print that the cell has been submitted."""
        self._print(text)

    def progress(self, text: str, lasting: str) -> None:  # noqa: ARG002
        """Show a progress line in place of the last one; `lasting` is the one to leave behind."""
        self._line = lasting

    def remark(self, text: str) -> None:
        """Print a remark for the person who waits."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def output(self, pieces: list[Piece]) -> None:
        """Print new output of the cell."""
        self._held += pieces
        if self._held and not self._since:
            self._since = time.monotonic()
        if self._streaming or (self._since and time.monotonic() - self._since >= self.hold):
            self._release()

    def end(self, progress: str, text: str) -> None:
        """Print the last progress line and how the cell ended."""
        self._line = progress
        if self._streaming:
            self._release()
            self._print("", new_line=bool(self._column))
            self._print(text)
            return
        self._settle()
        self._print(text)
        if text and self._held and self.gap:
            self._print("", new_line=True)
        self._release()

    def _settle(self) -> None:
        """Print the progress line for the last time."""
        self._print(self._line)
        self._line = ""

    def _release(self) -> None:
        if not self._streaming and self._held:
            self._streaming = True
            self._settle()
        for piece in self._held:
            self._show_piece(piece)
            if piece.text:
                self._column = not piece.text.endswith("\n")
        self._held = []

    def _show_piece(self, piece: Piece) -> None:
        show_piece(piece)

    def _print(self, text: str, *, new_line: bool = False) -> None:
        if text or new_line:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


class TerminalScreen(Screen):
    """A terminal, where the progress line is rewritten."""

    def progress(self, text: str, lasting: str) -> None:
        super().progress(text, lasting)
        if not self._streaming:
            sys.stdout.write(f"\r\x1b[K{text}")
            sys.stdout.flush()

    def remark(self, text: str) -> None:
        # Behind the ^C that the terminal has printed.
        super().remark(f"\n{text}")

    def _settle(self) -> None:
        sys.stdout.write("\r\x1b[K")
        super()._settle()


class NotebookScreen(Screen):
    """A notebook, whose first output is rewritten; the last version stays in the notebook."""

    def __init__(self) -> None:
        super().__init__()
        self._head = ""
        self._output = RewrittenOutput()
        self._shown = self._remark = ""
        self._clears = False

    def headline(self, text: str) -> None:
        self._head = text
        self._show(text)

    def progress(self, text: str, lasting: str) -> None:  # noqa: ARG002
        self._show("\n".join(one for one in (self._head, text, self._remark) if one))

    def remark(self, text: str) -> None:
        self._remark = text

    def output(self, pieces: list[Piece]) -> None:
        self._held, self._streaming = pieces, True
        self._release()

    def end(self, progress: str, text: str) -> None:
        self._show("\n".join(one for one in (self._head, progress, text) if one))

    def _show_piece(self, piece: Piece) -> None:
        if piece.display is not None and piece.display.clear:
            self._clears = True
        if self._clears and (piece.display is None or not piece.display.wait):
            self._clear()
        super()._show_piece(piece)

    def _clear(self) -> None:
        """Clear the output, but for the progress line."""
        from IPython.display import clear_output

        clear_output(wait=True)  # type: ignore[no-untyped-call, unused-ignore]
        text, self._shown, self._clears = self._shown, "", False
        self._output = RewrittenOutput()
        self._show(text)

    def _show(self, text: str) -> None:
        if text != self._shown:
            self._output.show(text)
            self._shown = text


def show_piece(piece: Piece, stderr: TextIO | None = None) -> None:
    """Show a piece of output as if it came from a cell of this notebook.

    Errors go to `stderr`, if given.
    """
    if piece.display is None:
        file = (stderr or sys.stderr) if piece.stream == "stderr" else sys.stdout
        file.write(piece.text)
        file.flush()
    elif not piece.display.clear:
        piece.display.publish()


def screen_for(shell: InteractiveShell) -> Screen:
    """Return the screen for where the output of a shell goes."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    captured = isinstance(shell.display_pub, CapturingDisplayPublisher)
    if getattr(shell, "kernel", None) is not None and not captured:
        return NotebookScreen()
    return TerminalScreen() if sys.stdout.isatty() else Screen()
