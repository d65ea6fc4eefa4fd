"""Scripts that backends run, made of the text of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import CellRecord, ResultExtractor


class CellProgram:
    """Program of a cell that is a script for a shell, or for another interpreter."""

    must_succeed = False
    """Whether the notebook's cell always fails if the program fails."""

    def __init__(self, shell: str) -> None:
        self.shell = shell

    def script(self, text: str) -> bytes:
        """Return the script of a cell. Raises OptionsError."""
        end = "" if text.endswith("\n") else "\n"
        return f"#!{self.shell}\n{text}{end}".encode()

    def result_extractor(self) -> ResultExtractor | None:
        """Return a new filter for the output of one run, None if that has no result."""
        return None

    def deliver(self, record: CellRecord) -> None:
        """Store the results of a cell that succeeded, once."""
