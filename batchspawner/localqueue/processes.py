"""Find and end the processes of a job, whatever sessions they have made for themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "BATCHSPAWNER_QUEUE_JOB"
"""Variable in the environment of a job's processes, by which they are known."""

_KILL_WAIT = 5.0


def mark_of(folder: Path, job_id: int) -> str:
    """Return the value of MARK in a job's processes."""
    return f"{folder}:{job_id}"


def processes_of(mark: str) -> list[int]:
    """Return the ids of all processes of a job; without /proc (not Linux) none are found."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        # Others' processes cannot be read, and any may have just ended.
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def send(group: int, number: int) -> bool:
    """Send a signal to a process group; False where it is gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_all(mark: str, group: int | None = None) -> None:
    """Kill every process of a job."""
    end = time.monotonic() + _KILL_WAIT
    if group is not None:
        send(group, signal.SIGKILL)
    while (alive := processes_of(mark)) and time.monotonic() < end:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
