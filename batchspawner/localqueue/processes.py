"""Find and end the processes of a job, whatever sessions they have made for themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "BATCHSPAWNER_QUEUE_JOB"
"""Variable in the environment of a job's processes, by which they are known."""

_PROC = Path("/proc")
_KILL_WAIT = 5.0


def mark_of(folder: Path, job_id: int) -> str:
    """Return the value of MARK in a job's processes."""
    return f"{folder}:{job_id}"


def born(pid: int) -> str:
    """Return when a process started, as no other with its id ever did, or "" where none is."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {_stat(_PROC / str(pid))[19]}"
    except OSError:
        return ""


def processes_of(mark: str, session: int | None) -> list[int]:
    """Return the ids of the processes of a job; without /proc (not Linux) none are found.

    Those that left the job's session bear its mark, and those that threw their environment away
    are mostly still in its session.
    """
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        # Any may have just ended.
        with contextlib.suppress(OSError):
            if _belongs(entry, wanted, session):
                found.append(int(entry.name))
    return found


def send(mark: str, session: int | None, number: int) -> bool:
    """Send a signal to every process of a job; False where there is none."""
    if not _PROC.is_dir() and session is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, number)
            return True
    pids = processes_of(mark, session)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return bool(pids)


def kill_all(mark: str, session: int | None) -> None:
    """Kill every process of a job, also those that are just being started."""
    end = time.monotonic() + _KILL_WAIT
    while send(mark, session, signal.SIGKILL) and time.monotonic() < end:
        time.sleep(0.01)


def _belongs(entry: Path, wanted: bytes, session: int | None) -> bool:
    stat = _stat(entry)
    if stat[0] in ("Z", "X"):
        return False
    if session is not None and int(stat[3]) == session:
        return True
    return wanted in (entry / "environ").read_bytes().split(b"\0")


def _stat(entry: Path) -> list[str]:
    """Return what proc(5) says of a process, from its state on: the name may hold anything."""
    return (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
