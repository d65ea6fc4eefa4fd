"""Records of submitted jobs, for other processes of this user, and for later.

A record is a file in the folder of the job's call, and is removed with it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import chain
from typing import TYPE_CHECKING

from ..private_folders import open_plain
from .call_folder import calls_folder
from .job_origin import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

RECORD_NAME = "job.json"
"""The file of a record in the folder of its job."""

_TEXTS = ("scheduler", "job_id", "front_end", "name", "ended", "group")

LOGS = ("output*", "log", "log.txt", "element.*")
"""The files with what a job prints, in the folder of a call and in that of a cluster."""


@dataclass(frozen=True)
class JobRecord:
    """What is known of a job without asking its scheduler.

    `folder` is that of its call, `front_end` a word such as ``functions`` or ``kernels``.
    `submitted` is in seconds since the epoch. `ended` is its last state, empty until that is known.
    `group` is the id of the executor whose workers the job runs, empty for other jobs.
    """

    folder: Path
    scheduler: str
    job_id: str
    front_end: str
    name: str
    submitted: float = field(default_factory=time.time)
    ended: str = ""
    origin: Origin = field(default_factory=Origin)
    group: str = ""

    @classmethod
    def read(cls, file: Path) -> JobRecord:
        """Return the record in a file; a newer release may have written more than we know.

        Raises OSError, ValueError or TypeError for a file that is half written, or removed.
        """
        try:
            with open_plain(file) as opened:
                values = json.load(opened)
        except RecursionError as error:
            raise ValueError(file) from error
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        known["origin"] = Origin(**known.get("origin", {}))
        texts = all(isinstance(known.get(name, ""), str) for name in _TEXTS)
        if not texts or not isinstance(known.get("submitted", 0.0), (int, float)):
            raise TypeError(file)
        return cls(file.parent, **known)

    @property
    def full_name(self) -> str:
        """The job's id behind its scheduler's name: ``slurm:17``."""
        return f"{self.scheduler}:{self.job_id}"

    def write(self) -> None:
        """Write the record into the job's folder, for this user only (0600).

        If that is impossible, as on a full disk, warn: the job is there all the same.
        """
        found = {name: value for name, value in asdict(self).items() if name != "folder"}
        file = self.folder / RECORD_NAME
        try:
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as writing:
                json.dump(found, writing)
        except OSError as error:
            text = "Job %s is not listed by `batchspawner jobs`: cannot write %s: %s"
            log.warning(text, self.job_id, file, error.strerror)

    def logs(self) -> list[Path]:
        """Return the files with what the job has printed, in the order in which they are read."""
        return sorted(file for file in chain.from_iterable(map(self.folder.glob, LOGS)))

    def close(self, state: str) -> JobRecord:
        """Record that the job has ended, unless its folder is gone; return the new record."""
        ended = replace(self, ended=state)
        if self.folder.is_dir():
            ended.write()
        return ended


def record_files(*others: Path) -> Iterator[Path]:
    """Return the files of all records: in the folder of calls, and in `others`."""
    patterns = (f"*/{RECORD_NAME}", f"*/*/{RECORD_NAME}")
    folders = (calls_folder(), *others)
    return chain.from_iterable(folder.glob(one) for folder in folders for one in patterns)


def records(*others: Path) -> list[JobRecord]:
    """Return the records of this user's jobs of the last days, oldest first.

    They are in the folder of calls, and in `others`.
    """
    found = filter(None, map(_read, record_files(*others)))
    return sorted(found, key=lambda one: one.submitted)


def _read(file: Path) -> JobRecord | None:
    try:
        return JobRecord.read(file)
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
