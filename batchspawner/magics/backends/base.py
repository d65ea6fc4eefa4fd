"""Say what every place must know where a cell can run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...jobs import JobInfo
    from ..record import CellRecord


class Backend(ABC):
    """Run one cell somewhere: each object is for one cell.

    All coroutines run in the library's own thread.
    """

    title = ""
    """Where that is, for a list."""

    shows_progress = True

    parts_output = True
    """Whether an empty line stands between the end line and the output of a short cell."""

    ident: str = ""
    """What people call the run: the job's id, or the number of a process."""

    @abstractmethod
    async def run(self, script: bytes, record: CellRecord) -> None:
        """Run a cell to its end, and write down all that happens.

        Raises BatchError where the cell could not be handed over or followed.
        """

    @abstractmethod
    async def cancel(self, *, now: bool) -> None:
        """Ask the cell to end, or end it at once."""

    @abstractmethod
    def farewell(self, status: JobInfo) -> str:
        """Return the line that ends the transcript; it may be empty."""
