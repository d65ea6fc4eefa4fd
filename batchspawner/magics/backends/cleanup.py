"""Removal of the folders of jobs that have ended, also those that ended after their notebook."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import socket
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...allocation.call_folder import calls_folder
from ...concurrency import BackgroundTasks
from ...errors import BatchError

if TYPE_CHECKING:
    from pathlib import Path

    from ...allocation.allocation import Allocation
    from ...client.batch_client import BatchClient

_EXIT_TIMEOUT_S = 3.0
"""How long the end of this process waits for the end of its jobs."""

_OTHER_HOST_MIN_AGE_S = 86400.0
"""Age of a folder after which its process on another host is taken to have ended."""

_OWNER_FILE = "cell.json"

_allocations: set[Allocation] = set()
_tasks = BackgroundTasks()
_lock = threading.Lock()


@dataclass(frozen=True)
class Owner:
    """The process that uses the folder of a job, and that job."""

    scheduler: str
    job: str
    host: str
    pid: int

    @classmethod
    def read(cls, file: Path) -> Owner:
        """Return the owner in a file. Raises OSError, ValueError, KeyError or TypeError."""
        values: dict[str, object] = json.loads(file.read_text())
        host, pid = str(values["host"]), int(str(values["pid"]))
        return cls(str(values["scheduler"]), str(values["job"]), host, pid)

    def is_alive(self, age: float) -> bool:
        """Return whether the process still runs, given the age of its folder in seconds."""
        if self.host != socket.gethostname():
            return age <= _OTHER_HOST_MIN_AGE_S
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def record_owner(allocation: Allocation) -> None:
    """Write this process into a job's folder, for the case that it ends before the job."""
    scheduler = allocation.client.scheduler.name
    owner = Owner(scheduler, allocation.job_id, socket.gethostname(), os.getpid())
    (allocation.call.folder / _OWNER_FILE).write_text(json.dumps(asdict(owner)))


def close_when_ended(allocation: Allocation) -> None:
    """Close an allocation when its job has ended: until then the job may write its log."""
    with _lock:
        if not _allocations:
            atexit.register(_at_exit)
        _allocations.add(allocation)
    _tasks.start(_close(allocation))


def remove_stale_folders(client: BatchClient) -> None:
    """Begin to remove the folders of this scheduler's jobs whose notebook and job have ended."""
    for file in calls_folder().glob(f"*/{_OWNER_FILE}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            owner = Owner.read(file)
            age = time.time() - file.stat().st_mtime
            if owner.scheduler == client.scheduler.name and not owner.is_alive(age):
                _tasks.start(_remove(client, owner.job, file.parent))


async def _remove(client: BatchClient, job_id: str, folder: Path) -> None:
    with contextlib.suppress(BatchError):
        status = await client.status(job_id)
        if status.is_final:
            shutil.rmtree(folder, ignore_errors=True)


async def _close(allocation: Allocation) -> None:
    await allocation.ended()
    await allocation.close()
    _allocations.discard(allocation)


def _at_exit() -> None:
    until = time.monotonic() + _EXIT_TIMEOUT_S
    while _allocations and time.monotonic() < until:
        time.sleep(0.05)
    for allocation in list(_allocations):
        with contextlib.suppress(OSError):
            allocation.call.close()
