"""Folders of the jobs of clusters, and of connections, which only their owner can read."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BatchError
from ..private_folders import close_for_others, make_folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

LOG = "log.txt"
ELEMENT = "element"
_RECORD = "record.json"
_JOB_ID = "job_id"
_FREE_SPACE = "Free some space, or set XDG_DATA_HOME to a folder that all nodes can see."
_TEXTS = ("scheduler", "tag", "profiles", "job_id")


def data_folder(kind: str) -> Path:
    """Return the parent folder of all clusters, or of all connections."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "batchspawner" / kind


def ipython_folder() -> Path:
    """Return the folder of the user's IPython profiles."""
    return Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython").expanduser().absolute()


class PrivateFolder:
    """A folder of files that only their owner can read."""

    kind = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls) -> Self:
        """Make a new folder of mode 0700. Raises BatchError if that is impossible."""
        path = data_folder(cls.kind) / secrets.token_hex(8)
        try:
            make_folders(path)
            close_for_others(path.parent)
            close_for_others(data_folder(""))
        except OSError as error:
            what = f"cannot make the folder {path}: {error.strerror}"
            raise BatchError(f"{what}. {_FREE_SPACE}") from error
        return cls(path)

    @classmethod
    def all(cls) -> list[Self]:
        """Return all folders of this kind, oldest first."""
        try:
            found = [path for path in data_folder(cls.kind).iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []
        return [cls(path) for path in sorted(found, key=lambda one: one.stat().st_mtime)]

    def write(self, name: str, text: str) -> Path:
        """Write a file of mode 0600, atomically. Raises BatchError if that is impossible."""
        try:
            return write_private(self.path / name, text)
        except OSError as error:
            what = f"cannot write {self.path / name}: {error.strerror}"
            raise BatchError(f"{what}. {_FREE_SPACE}") from error

    def write_record(self, values: Mapping[str, object]) -> None:
        """Write a record for other processes."""
        self.write(_RECORD, json.dumps(values))

    def read_record(self) -> dict[str, Any]:
        """Return the record; it is empty if it cannot be read."""
        try:
            found: object = json.loads((self.path / _RECORD).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def remove(self) -> None:
        """Remove the folder and its files."""
        shutil.rmtree(self.path, ignore_errors=True)


class JobFolder(PrivateFolder):
    """The files of one job: its program, its log, and its record."""

    kind = "clusters"

    @classmethod
    def existing(cls, path: str) -> JobFolder | None:
        """Return a folder that another process has made, or None if it is gone."""
        return cls(Path(path)) if path and Path(path).is_dir() else None

    @property
    def name(self) -> str:
        """The name of the folder, with which the names of the job's engines begin."""
        return self.path.name

    @property
    def log(self) -> Path:
        """The file with all that the job prints."""
        return self.path / LOG

    def record(self) -> ClusterRecord:
        """Return the record of the job; its fields are empty if it cannot be read."""
        found = self.read_record()
        texts = {name: str(found.get(name, "")) for name in _TEXTS}
        return ClusterRecord(self, n=int(found.get("n", 0)), **texts)

    def logs_of_elements(self) -> list[Path]:
        """Return the log files of the elements of an array, one for each that has started."""
        return sorted(self.path.glob(f"{ELEMENT}.*"))

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the job printed."""
        found: list[str] = []
        for path in (self.log, *self.logs_of_elements()):
            with contextlib.suppress(OSError):
                found += path.read_text(errors="replace").splitlines()
        return "\n".join(found[-lines:])


@dataclass(frozen=True)
class ClusterRecord:
    """Record of a job in its folder.

    A job without an id was being submitted when its process ended; it can be found by its tag.
    Only whole clusters have a number of engines, `n`.
    """

    folder: JobFolder
    scheduler: str
    tag: str
    n: int = 0
    profiles: str = ""
    job_id: str = ""

    @property
    def full_name(self) -> str:
        """The job's id behind its scheduler's name: ``slurm:17``."""
        return f"{self.scheduler}:{self.job_id}"

    def write(self) -> None:
        """Write the record into the folder, for other processes."""
        texts = {name: str(getattr(self, name)) for name in _TEXTS}
        self.folder.write_record({"n": self.n, **texts})

    def submitted(self, job_id: str) -> ClusterRecord:
        """Return the record with the job's id; write it for other processes and the job itself."""
        record = replace(self, job_id=job_id)
        record.write()
        self.folder.write(_JOB_ID, f"{plain(job_id)}\n")
        return record


def records() -> list[ClusterRecord]:
    """Return the records of all jobs of this user, oldest first."""
    return [folder.record() for folder in JobFolder.all()]


def plain(job_id: str) -> str:
    """Return a job's id without what cannot be in the name of a file or an IPython profile."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", job_id)


def write_private(path: Path, text: str) -> Path:
    """Write a file of mode 0600, atomically."""
    part = path.with_suffix(".part")
    with open(part, "w", opener=_private) as file:
        file.write(text)
    return part.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
