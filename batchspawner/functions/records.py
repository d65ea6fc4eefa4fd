"""Write down which jobs were submitted, for other processes of this user, and for later."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .home import jobs_folder

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "job.json"


@dataclass(frozen=True)
class Record:
    """Hold what is known of a job without asking its scheduler.

    `calls` is 0 for a job with workers of an executor.
    """

    folder: Path
    scheduler: str
    job_id: str
    name: str
    calls: int = 0
    submitted: float = field(default_factory=time.time)

    def write(self) -> None:
        """Write the record into the job's folder, readable only for us."""
        found: dict[str, Any] = asdict(self)
        del found["folder"]
        opened = os.open(self.folder / _NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(found, file)


def records() -> list[Record]:
    """Return what this user has submitted in the last days, the oldest first."""
    found = filter(None, map(_read, jobs_folder().glob(f"*/{_NAME}")))
    return sorted(found, key=lambda one: one.submitted)


def _read(file: Path) -> Record | None:
    try:
        return Record(file.parent, **json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # half written, or about to be removed


def record_of(job_id: int | str) -> Record:
    """Return the newest record of a job. Raises LookupError."""
    for one in reversed(records()):
        if one.job_id == str(job_id):
            return one
    raise LookupError(
        f"no job {job_id} was submitted by batchspawner.functions here in the last days"
    )
