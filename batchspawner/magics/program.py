"""Turn the text of a cell into what a place can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import CellRecord, Sieve


class CellProgram:
    """Make cells scripts of a shell, or of any other program that reads one."""

    must_succeed = False
    """Whether a failure of the cell is always one of the notebook's cell, too."""

    def __init__(self, shell: str) -> None:
        self.shell = shell

    def script(self, text: str) -> bytes:
        """Return a cell as the script that it is. Raises OptionsError."""
        end = "" if text.endswith("\n") else "\n"
        return f"#!{self.shell}\n{text}{end}".encode()

    def sieve(self) -> Sieve | None:
        """Return what keeps back from the output of one run what is not for people."""
        return None

    def deliver(self, record: CellRecord) -> None:
        """Do with the results of a cell that succeeded what is to be done, once."""
