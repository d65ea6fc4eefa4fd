"""Records of submitted jobs, for other processes of this user, and for later.

A record is a file in the folder of the job's call, and is removed with it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from .call_folder import calls_folder

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """What is known of a job without asking its scheduler.

    `folder` is that of its call, `front_end` a word such as ``functions`` or ``kernels``.
    `submitted` is in seconds since the epoch. `ended` is its last state, empty until that is known.
    """

    folder: Path
    scheduler: str
    job_id: str
    front_end: str
    name: str
    submitted: float = field(default_factory=time.time)
    ended: str = ""

    def write(self) -> None:
        """Write the record into the job's folder, for this user only (0600)."""
        found = {name: value for name, value in asdict(self).items() if name != "folder"}
        opened = os.open(self.folder / _NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(found, file)

    def close(self, state: str) -> JobRecord:
        """Record that the job has ended, unless its folder is gone; return the new record."""
        ended = replace(self, ended=state)
        if self.folder.is_dir():
            ended.write()
        return ended


def records() -> list[JobRecord]:
    """Return the records of this user's jobs of the last days, oldest first."""
    folder = calls_folder()
    files = chain(folder.glob(f"*/{_NAME}"), folder.glob(f"*/*/{_NAME}"))
    return sorted(filter(None, map(_read, files)), key=lambda one: one.submitted)


def _read(file: Path) -> JobRecord | None:
    try:
        return JobRecord(file.parent, **json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # half written, or about to be removed


def record_of(job_id: int | str) -> JobRecord:
    """Return the newest record of a job. Raises LookupError if there is none."""
    for one in reversed(records()):
        if one.job_id == str(job_id):
            return one
    raise LookupError(f"job {job_id} is none of those submitted here in the last days")
