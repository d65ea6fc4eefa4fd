"""Interface of the backends: what a cell needs of the place where it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...jobs import JobInfo
    from ..record import CellRecord


class Backend(ABC):
    """One run of one cell. All coroutines run in the library's own thread."""

    title = ""
    """Where the cell runs, for a list."""

    shows_progress = True

    separates_output = True
    """Whether an empty line separates the end message and the output of a short cell."""

    ident: str = ""
    """The job's id, or the number of the process."""

    @abstractmethod
    async def run(self, script: bytes, record: CellRecord) -> None:
        """Run a cell to its end, and record its output and its status.

        Raises BatchError if the cell could not be submitted or followed.
        """

    @abstractmethod
    async def cancel(self, *, now: bool) -> None:
        """Ask the cell to end, or kill it."""

    @abstractmethod
    def end_message(self, status: JobInfo) -> str:
        """Return the last line of the transcript; it may be empty."""
