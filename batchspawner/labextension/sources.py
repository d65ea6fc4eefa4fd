"""Where the rows come from: records of our jobs, files of executors, the scheduler's own list."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..allocation.call_folder import calls_folder
from ..allocation.job_origin import Origin
from ..allocation.job_records import RECORD_NAME, JobRecord, record_files
from ..client.availability import cached_own_jobs
from ..clusters.folders import data_folder
from ..functions.executor.progress_file import executors_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ..client.batch_client import BatchClient
    from ..jobs import JobInfo

_RESCAN_INTERVAL_S = 60.0
"""Between two searches through all folders of jobs in which nothing seems to have changed."""

_NEW_FOLDER_AGE_S = 600.0
"""For how long a folder without a record is looked into: its job is being submitted."""

_NUMBER = re.compile(r"\d+")


class Records:
    """Records of this user's jobs, read again only where something has changed."""

    def __init__(self) -> None:
        self.known: dict[Path, JobRecord] = {}
        self._seen: dict[Path, float] = {}
        self._empty: dict[Path, float] = {}
        self._scanned = float("-inf")

    def update(self) -> bool:
        """Read what is new; return whether a record has come or gone."""
        before = set(self.known)
        now = time.monotonic()
        folders = self._folders()
        seen = {folder: _mtime(folder) for folder in folders}
        if seen != self._seen or now - self._scanned > _RESCAN_INTERVAL_S:
            self._seen, self._scanned = seen, now
            self._scan(now)
        else:
            for folder in list(self._empty):
                self._read(folder / RECORD_NAME)
                if folder / RECORD_NAME in self.known or now > self._empty[folder]:
                    del self._empty[folder]
        return set(self.known) != before

    def replace(self, record: JobRecord) -> None:
        """Note that a record has changed."""
        self.known[record.folder / RECORD_NAME] = record

    @staticmethod
    def _folders() -> list[Path]:
        """Return the folders in which folders of jobs come and go."""
        calls = calls_folder()
        return [calls, *(calls / one for one in ("functions", "kernels", "notebooks")), _clusters()]

    def _scan(self, now: float) -> None:
        files = set(record_files(_clusters()))
        for file in set(self.known) - files:
            del self.known[file]
        for file in files - set(self.known):
            self._read(file)
        recent = time.time() - _NEW_FOLDER_AGE_S
        self._empty = {
            one: now + _NEW_FOLDER_AGE_S
            for folder in self._folders()
            for one in _children(folder)
            if one / RECORD_NAME not in self.known and _mtime(one) > recent
        }

    def _read(self, file: Path) -> None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.known[file] = JobRecord.read(file)


@dataclass(frozen=True)
class ExecutorProgress:
    """One executor of a program of this user; `closed` is when its last call was done."""

    group: str
    name: str
    started: float
    calls: tuple[int, int, int]
    origin: Origin
    closed: float | None = None


def executors() -> dict[str, ExecutorProgress]:
    """Return the executors that run, or are closed, by their ids in the records of their jobs."""
    found = {}
    for file in executors_folder().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, OverflowError):
            told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            is_here = told["host"] == socket.gethostname() and "closed" not in told
            if is_here and not _is_alive(int(told["pid"])):
                file.unlink()
                continue
            calls = int(told["total"]), int(told["done"]), int(told["failed"])
            origin, closed = Origin(**told["origin"]), told.get("closed")
            found[file.stem] = ExecutorProgress(
                file.stem, str(told["name"]), told["started"], calls, origin, closed
            )
    return found


async def listed(client: BatchClient) -> dict[str, JobInfo]:
    """Return all jobs of this user that the scheduler lists, by the number in their ids.

    One answer serves for some time. It is empty if the scheduler has no such list.
    """
    answer = await cached_own_jobs(client.scheduler, client.query_runner).get()
    found: dict[str, JobInfo] = {}
    for status in answer.value or ():
        known = found.get(number_of(status.job_id))
        # An array is as alive as any of its elements.
        if known is None or known.state.is_waiting:
            found[number_of(status.job_id)] = status
    return found


def number_of(job_id: str) -> str:
    """Return the number that all elements of an array have in their ids."""
    match = _NUMBER.match(job_id)
    return match[0] if match else job_id


async def off_loop(work: Any, *arguments: Any) -> Any:
    """Run what reads many files in a thread of its own: a file system may be slow."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


def _clusters() -> Path:
    return data_folder("clusters")


def _mtime(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _children(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [one for one in folder.iterdir() if one.is_dir()]
    return []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
