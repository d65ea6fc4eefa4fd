"""Do to jobs what the commands ask for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from .folder import QueueError
from .processes import mark_of, send
from .scheduling import LIVE
from .store import FINAL, as_json

if TYPE_CHECKING:
    import argparse
    import sqlite3

    from .store import Store

_DAY = 86400.0


def listing(store: Store, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the jobs that a query asks for, those that wait with their reason."""
    waiting = store.jobs("PENDING")
    free = store.slots - sum(row["slots"] for row in store.jobs(*LIVE))
    reasons = {
        row["id"]: _reason(row["slots"], max(free, 0), place) for place, row in enumerate(waiting)
    }
    rows = store.jobs(*LIVE) + waiting
    if wanted.ids:
        rows = [row for job_id in wanted.ids if (row := store.job(job_id)) is not None]
    elif wanted.all:
        rows += store.ended_since(time.time() - _DAY)
    if wanted.comment is not None:
        rows = [row for row in rows if row["comment"] == wanted.comment]
    rows.sort(key=lambda row: row["id"])
    return [as_json(row, reasons.get(row["id"], "")) for row in rows]


def _reason(slots: int, free: int, ahead: int) -> str:
    text = f"needs {slots} of the slots, {free} free"
    return f"{text}; {ahead} ahead in the queue" if ahead else text


def cancel(store: Store, job_id: int) -> str:
    """End a job; return a note where there was nothing to end."""
    with store.locked():
        row = store.job(job_id)
        if row is None:
            return f"there is no job {job_id}"
        if row["state"] in FINAL:
            return f"job {job_id} has ended already"
        if row["state"] == "PENDING":
            store.end(job_id, "CANCELLED")
            return ""
        _check_machine(row)
        store.change(job_id, cancelled=1, state="COMPLETING")
    # A supervisor that has not written its id yet will see the wish itself.
    if row["supervisor"]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(row["supervisor"], signal.SIGTERM)
    return ""


def send_signal(store: Store, job_id: int, number: int) -> None:
    """Send a signal to all processes of a running job. Raises QueueError where there are none."""
    row = store.job(job_id)
    if row is None or row["state"] not in LIVE:
        raise QueueError(f"job {job_id} does not run")
    _check_machine(row)
    if not send(mark_of(store.folder, job_id), row["leader"], number):
        raise QueueError(f"job {job_id} has no processes at this moment: it starts or ends")


def _check_machine(row: sqlite3.Row) -> None:
    """Refuse to touch what another machine runs, where several share the folder."""
    if row["machine"] not in (None, os.uname().nodename):
        raise QueueError(f"job {row['id']} runs on {row['machine']}; say this there")


def exit_status(row: sqlite3.Row) -> int:
    """Return how a job ended, as a shell would say it."""
    if row["signal"]:
        return 128 + int(row["signal"])
    if row["exit_code"] is not None:
        return int(row["exit_code"])
    return 1
