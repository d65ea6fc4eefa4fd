"""Start the jobs that can start, in the order in which they were submitted."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .processes import MARK, born, kill_all, mark_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from .store import Store

LIVE = ("RUNNING", "COMPLETING")


def schedule(store: Store) -> None:
    """Take note of supervisors that died, and start what there is room for."""
    with store.locked():
        for row in store.jobs(*LIVE):
            _bury(store, row)
        started = _start(store)
    for job_id, lock in started:
        _launch(store, job_id, lock)


def _bury(store: Store, row: sqlite3.Row) -> None:
    """End a job whose supervisor is gone: killed, or lost in a restart of the machine."""
    lock = _try_lock(store, row["id"])
    if lock is None:
        return
    # Another process may have the id of the script's by now.
    ours = row["leader"] and row["born"] and born(row["leader"]) == row["born"]
    kill_all(mark_of(store.folder, row["id"]), row["leader"] if ours else None)
    said = _log(store, row["id"]).read_text(errors="replace").strip().rpartition("\n")[2]
    reason = f"its supervisor failed: {said}" if said else ""
    reason = reason or "its supervisor was killed, or the machine restarted"
    store.end(row["id"], "NODE_FAIL", reason=reason)
    os.close(lock)


def _log(store: Store, job_id: int) -> Path:
    """Return the file of what a supervisor says when it fails."""
    log = store.folder_of(job_id) / "supervisor.log"
    log.touch(0o600)
    return log


def _start(store: Store) -> list[tuple[int, int]]:
    """Mark jobs as running and return their ids with their locks."""
    total = store.slots
    free = total - sum(row["slots"] for row in store.jobs(*LIVE))
    started = []
    for row in store.jobs("PENDING"):
        if row["slots"] > total:
            reason = f"it asks for {row['slots']} slots, and the queue has only {total} now"
            store.end(row["id"], "FAILED", reason=reason)
            continue
        # Nobody overtakes: a large job would wait for ever.
        if row["slots"] > free:
            break
        lock = _try_lock(store, row["id"])
        if lock is None:
            break
        free -= row["slots"]
        store.change(row["id"], state="RUNNING", started=time.time())
        started.append((row["id"], lock))
    return started


def _try_lock(store: Store, job_id: int) -> int | None:
    """Take the lock that a job's supervisor holds as long as it lives, or return None."""
    file = store.folder_of(job_id) / "lock"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _launch(store: Store, job_id: int, lock: int) -> None:
    """Start a job's supervisor, which inherits the lock, so that it is never free between."""
    # The submitter may be a job itself, with whose end its own processes are ended.
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, "-m", "batchspawner.localqueue.supervisor"]
    with _log(store, job_id).open("wb") as log:
        subprocess.Popen(
            [*command, str(store.folder), str(job_id)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
            pass_fds=(lock,),
        )
    os.close(lock)
