"""Remove the folders of jobs that have ended, also those of notebooks that have ended before."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import shutil
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from ...allocation.call_folder import calls_folder
from ...errors import BatchError

if TYPE_CHECKING:
    from pathlib import Path

    from ...allocation.allocation import Allocation
    from ...client.batch_client import BatchClient

_PATIENCE = 3.0
"""Seconds that the end of this process waits for the end of jobs."""

_FOREIGN = 86400.0
"""Seconds after which a folder of a process on another machine may be taken for left."""

_NOTE = "cell.json"

_allocations: set[Allocation] = set()
_tasks: set[asyncio.Future[None]] = set()
_lock = threading.Lock()


def take_note(allocation: Allocation) -> None:
    """Write down whose folder a folder is, in case that this process does not remove it."""
    note = {
        "scheduler": allocation.client.scheduler.name,
        "job": allocation.job_id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    (allocation.call.folder / _NOTE).write_text(json.dumps(note))


def clean_up(allocation: Allocation) -> None:
    """Close an allocation as soon as its job has ended: until then it may write its log."""
    with _lock:
        if not _allocations:
            atexit.register(_at_exit)
        _allocations.add(allocation)
    _begin(_close(allocation))


def sweep(client: BatchClient) -> None:
    """Begin to remove what cells of ended notebooks have left, where their jobs have ended."""
    for note in calls_folder().glob(f"*/{_NOTE}"):
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(note.read_text())
            if facts["scheduler"] == client.scheduler.name and _is_left(facts, note):
                _begin(_remove(client, str(facts["job"]), note.parent))


def _is_left(facts: dict[str, Any], note: Path) -> bool:
    if facts["host"] != socket.gethostname():
        return time.time() - note.stat().st_mtime > _FOREIGN
    try:
        os.kill(int(facts["pid"]), 0)
    except ProcessLookupError:
        return True
    return False


def _begin(work: Any) -> None:
    task = asyncio.ensure_future(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


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
    until = time.monotonic() + _PATIENCE
    while _allocations and time.monotonic() < until:
        time.sleep(0.05)
    for allocation in list(_allocations):
        with contextlib.suppress(OSError):
            allocation.call.close()
