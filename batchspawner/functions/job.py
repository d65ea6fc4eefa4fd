"""Hold one job that runs calls: where it is, what it has printed, how to end it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from ..client.blocking_client import run
from ..jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..client.batch_client import BatchClient
    from ..jobs import JobInfo
    from .futures import JobFuture

TAIL = 4096
"""Bytes of a log that an error quotes at most."""


class FunctionJob:
    """Hold a job and the private folder in which its calls, results and log lie.

    `element` is the id of the one of an array that the calls are in.
    """

    def __init__(
        self,
        client: BatchClient,
        folder: Path,
        job_id: str = "",
        futures: Sequence[JobFuture] = (),
    ) -> None:
        self.client = client
        self.folder = folder
        self.job_id = job_id
        self.element = ""
        self.futures = futures
        self.status: JobInfo | None = None
        self.started = False
        self.submitted = time.time()
        self.log_name = "output"

    @property
    def calls(self) -> int:
        """How many calls the job was submitted for, 0 where it does whatever comes."""
        return len(self.futures)

    @property
    def state(self) -> JobState:
        """The last known state."""
        if self.status is not None:
            return self.status.state
        return JobState.RUNNING if self.started else JobState.PENDING

    @property
    def reason(self) -> str:
        return self.status.describe() if self.status else ""

    @property
    def log_file(self) -> Path:
        """The file for what the calls print; what else the job prints is in ``log``."""
        return self.folder / self.log_name

    def info(self) -> dict[str, Any]:
        """Return where the job is, and what its scheduler says of it."""
        return {
            "scheduler": self.client.scheduler.name,
            "reason": self.reason,
            "folder": str(self.folder),
        }

    def log(self) -> str:
        """Return all that the job has printed."""
        return self.log_from(0)[0]

    def log_from(self, place: int) -> tuple[str, int]:
        """Return what the calls have printed from a place of the log on, and the new place."""
        data = _read(self.log_file, place)
        return data.decode(errors="replace"), place + len(data)

    def log_tail(self) -> str:
        """Return the last lines that the calls have printed, and those of the job."""
        tails = [
            _read(file, -TAIL).decode(errors="replace").strip()
            for file in (self.log_file, self.folder / "log")
        ]
        return "\n".join(filter(None, tails))

    def cancel(self) -> None:
        """End the job. Raises SchedulerError where the scheduler did not do it."""
        run(self.client.cancel(self.job_id))

    def signal(self, number: int | str) -> None:
        """Send a signal to the job's processes: a number, or a name such as ``USR1``."""
        if isinstance(number, str):
            number = signal.Signals[f"SIG{number.upper().removeprefix('SIG')}"].value
        run(self.client.signal(self.element or self.job_id, number))


def _read(file: Path, place: int) -> bytes:
    """Return what a file has from a place on, or before its end where that is negative."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, 2) + place) if place < 0 else place)
            return opened.read()
    except FileNotFoundError:
        return b""
