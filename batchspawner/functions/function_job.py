"""A job that runs calls, and the reference that every future has to it."""

from __future__ import annotations

import concurrent.futures
import signal
import time
from typing import TYPE_CHECKING, Any

from ..client.blocking_client import run
from ..jobs import JobState
from ..private_folders import open_plain
from ..schedulers.slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..client.batch_client import BatchClient
    from ..jobs import JobInfo

LOG_TAIL_BYTES = 4096
"""Bytes of a log that an error quotes at most."""


class FunctionJob:
    """Job and the private folder with its calls, results and log.

    `element` is the id of the array element that the calls are in, empty if there is no array.
    """

    def __init__(
        self,
        client: BatchClient,
        folder: Path,
        job_id: str = "",
        futures: Sequence[concurrent.futures.Future[Any]] = (),
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
        self.was_read = False

    @property
    def calls(self) -> int:
        """Number of calls that the job was submitted for, 0 for the job of a pool's workers."""
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

    def info(self) -> dict[str, object]:
        """Return the job's scheduler, folder and last known reason."""
        return {
            "scheduler": self.client.scheduler.name,
            "reason": self.reason,
            "folder": str(self.folder),
        }

    def log(self) -> str:
        """Return all that the calls have printed."""
        return self.log_from(0)[0]

    def log_from(self, offset: int) -> tuple[str, int]:
        """Return what the calls have printed after an offset in bytes, and the next offset."""
        data = _read(self.log_file, offset)
        return data.decode(errors="replace"), offset + len(data)

    def log_tail(self) -> str:
        """Return the last lines that the calls have printed, and those of the job."""
        tails = [
            _read(file, -LOG_TAIL_BYTES).decode(errors="replace").strip()
            for file in (
                self.log_file,
                self.folder / f"{self.log_name}.error",
                self.folder / "log",
            )
        ]
        return "\n".join(filter(None, tails))

    def cancel(self) -> None:
        """Cancel the job. Raises SchedulerError if the scheduler did not do it."""
        run(self.client.cancel(self.job_id))

    def signal(self, number: int | str) -> None:
        """Send a signal to the job's processes: a number, or a name such as ``USR1``."""
        if isinstance(number, str):
            number = signal.Signals[f"SIG{number.upper().removeprefix('SIG')}"].value
        run(self.client.signal(self.element or self.job_id, number))


class JobReference(concurrent.futures.Future[Any]):
    """Future with what is known of its job, by the names of slurminade's references.

    `job` is None until the call has been submitted: in a bundle that is when it is flushed.
    """

    def __init__(self, job: FunctionJob | None = None) -> None:
        super().__init__()
        self.job = job

    def get_job_id(self) -> int | str | None:
        """Return the job's id, as a number if it is one, or None before it is submitted."""
        job_id = self.job.job_id if self.job else None
        return int(job_id) if job_id and job_id.isdecimal() else job_id

    def get_exit_code(self) -> int | None:
        """Return 0 for a call that succeeded, None for one that has not ended."""
        if not self.done() or self.cancelled():
            return None
        error = super().exception()
        if error is None:
            return 0
        status: object = getattr(error, "status", None)
        # A shell command has an exit status, a job that died may have one.
        code = status if isinstance(status, int) else getattr(status, "exit_code", None)
        return code if isinstance(code, int) and code else 1

    def get_info(self) -> dict[str, Any]:
        """Return what is known of the job and of the call."""
        job = self.job.info() if self.job else {}
        return {
            **job,
            "job_id": self.get_job_id(),
            "exit_code": self.get_exit_code(),
            "state": self.state.value,
            "on_slurm": job.get("scheduler") == Slurm.name,
        }

    def __int__(self) -> int:
        job_id = self.get_job_id()
        if not isinstance(job_id, int):
            raise TypeError(f"{self!r} has no job id that is a number")
        return job_id

    @property
    def state(self) -> JobState:
        """The state of the job, as far as it is known without asking."""
        if self.cancelled():
            return JobState.CANCELLED
        if self.done():
            return JobState.FAILED if super().exception() else JobState.COMPLETED
        known = self.job.state if self.job else JobState.PENDING
        return JobState.RUNNING if known is JobState.PENDING and self.running() else known

    @property
    def reason(self) -> str:
        """Why the job waits, or how it ended, in the scheduler's words."""
        return self.job.reason if self.job else ""

    def signal(self, number: int | str) -> None:
        """Send a signal to the job: a number, or a name such as ``USR1``."""
        if self.job is None:
            raise ValueError("the call has not been submitted yet")
        self.job.signal(number)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} job_id={self.get_job_id()} {self.state.value}"
            f" at {id(self):#x}>"
        )


def _read(file: Path, offset: int) -> bytes:
    """Return the bytes of a file after an offset; a negative one counts from the end."""
    try:
        # A link leads to the file that the user has named for what the calls print.
        with open_plain(file, follow_links=True) as opened:
            opened.seek(max(0, opened.seek(0, 2) + offset) if offset < 0 else offset)
            return opened.read()
    except FileNotFoundError:
        return b""
