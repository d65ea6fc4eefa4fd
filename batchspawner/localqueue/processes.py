"""The processes of a job, whatever sessions they have started for themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "BATCHSPAWNER_QUEUE_JOB"
"""The environment variable by which the processes of a job are recognised."""

_PROC = Path("/proc")
_KILL_TIMEOUT_S = 5.0


def mark_of(folder: Path, job_id: int) -> str:
    """Return the value of MARK in a job's processes."""
    return f"{folder}:{job_id}"


def born(pid: int) -> str:
    """Return the boot and the time at which a process started, "" if there is none.

    Together with its id, this identifies a process for good.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {_stat(_PROC / str(pid))[19]}"
    except OSError:
        return ""


def processes_of(mark: str, session: int | None) -> list[int]:
    """Return the ids of the processes of a job; none if there is no /proc (not Linux).

    Processes that have left the job's session have its mark, and those that have cleared their
    environment are mostly still in its session.
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
    """Send a signal to every process of a job; return False if there is none."""
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
    end = time.monotonic() + _KILL_TIMEOUT_S
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
    """Return the fields of /proc/PID/stat from the state on (proc(5)); the name may be anything."""
    return (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
