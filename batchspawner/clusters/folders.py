"""Keep what belongs to one job of a cluster in a folder that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from ..errors import BatchError

LOG = "log.txt"
_RECORD = "record.json"
_JOB_ID = "job_id"


def data_folder() -> Path:
    """Return where the folders of all clusters are."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "batchspawner" / "clusters"


class JobFolder:
    """Hold the files of one job: its program, its log, and what has to be known to end it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls) -> JobFolder:
        """Make a new folder of mode 0700. Raises BatchError where that is impossible."""
        path = data_folder() / secrets.token_hex(8)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise BatchError(
                f"cannot make the folder {path} for the job's files: {error.strerror}. "
                "Free some space, or set XDG_DATA_HOME to a folder that all nodes can see."
            ) from error
        return cls(path)

    @classmethod
    def existing(cls, path: str) -> JobFolder | None:
        """Return a folder that another process has made, None where it is gone."""
        return cls(Path(path)) if path and Path(path).is_dir() else None

    @property
    def log(self) -> Path:
        """The file with all that the job prints."""
        return self.path / LOG

    def write(self, name: str, text: str) -> Path:
        """Write a file of mode 0600, whole or not at all."""
        path = self.path / name
        part = path.with_suffix(".part")
        with open(part, "w", opener=_private) as file:
            file.write(text)
        part.replace(path)
        return path

    def tell_job_id(self, name: str) -> None:
        """Let the job know under which name it is known."""
        self.write(_JOB_ID, f"{name}\n")

    def remember(self, record: dict[str, Any]) -> None:
        """Keep what has to be known of the job by who did not submit it."""
        self.write(_RECORD, json.dumps(record))

    def record(self) -> dict[str, Any] | None:
        """Return what `remember` kept, or None where there is nothing that can be read."""
        try:
            found = json.loads((self.path / _RECORD).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the job printed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def all_folders() -> list[JobFolder]:
    """Return the folders of all jobs of this user, oldest first."""
    try:
        found = [path for path in data_folder().iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    return [JobFolder(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
