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

    @property
    def full_name(self) -> str:
        """The job's id behind its scheduler's name: ``slurm:17``."""
        return f"{self.scheduler}:{self.job_id}"

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


def records(*others: Path) -> list[JobRecord]:
    """Return the records of this user's jobs of the last days, oldest first.

    They are in the folder of calls, and in `others`.
    """
    files = (
        chain(folder.glob(f"*/{_NAME}"), folder.glob(f"*/*/{_NAME}"))
        for folder in (calls_folder(), *others)
    )
    found = filter(None, map(_read, chain.from_iterable(files)))
    return sorted(found, key=lambda one: one.submitted)


def _read(file: Path) -> JobRecord | None:
    try:
        return JobRecord(file.parent, **json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # half written, or about to be removed


def record_of(job: int | str, *others: Path) -> JobRecord:
    """Return the newest record of a job, named by its id or as in ``slurm:17``.

    `others` are those of `records`. Raises LookupError if there is none, or if the id is that of
    jobs of several schedulers.
    """
    found = {
        one.full_name: one for one in records(*others) if str(job) in (one.job_id, one.full_name)
    }
    if len(found) > 1:
        raise LookupError(f"there are several jobs {job}; name one of: {', '.join(found)}")
    for one in found.values():
        return one
    raise LookupError(f"job {job} is none of those submitted here in the last days")
