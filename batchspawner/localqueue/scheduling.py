"""The start of jobs, in the order in which they were submitted."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .processes import MARK, born, kill_all, mark_of
from .store import LIVE

if TYPE_CHECKING:
    from pathlib import Path

    from .store import QueuedJob, Store


def schedule(store: Store) -> None:
    """End the jobs whose supervisors died, and start the jobs for which there are free slots."""
    with store.locked():
        for job in store.jobs(*LIVE):
            _end_unsupervised(store, job)
        started = _start(store)
    for job_id, lock in started:
        _launch(store, job_id, lock)


def _end_unsupervised(store: Store, job: QueuedJob) -> None:
    """End a job if its supervisor is gone: killed, or lost in a restart of the machine."""
    lock = _try_lock(store, job.id)
    if lock is None:
        return
    # Another process may have the id of the script's by now.
    is_same = job.leader and job.born and born(job.leader) == job.born
    kill_all(mark_of(store.folder, job.id), job.leader if is_same else None)
    last_line = _log(store, job.id).read_text(errors="replace").strip().rpartition("\n")[2]
    reason = f"its supervisor failed: {last_line}" if last_line else ""
    reason = reason or "its supervisor was killed, or the machine restarted"
    store.end(job.id, "NODE_FAIL", reason=reason)
    os.close(lock)


def _log(store: Store, job_id: int) -> Path:
    """Return the file in which a supervisor writes why it failed."""
    log = store.folder_of(job_id) / "supervisor.log"
    log.touch(0o600)
    return log


def _start(store: Store) -> list[tuple[int, int]]:
    """Mark jobs as running, and return their ids with the locks of their supervisors."""
    total = store.slots
    free = total - store.slots_in_use()
    started = []
    for job in store.jobs("PENDING"):
        if job.slots > total:
            reason = f"it asks for {job.slots} slots, and the queue has only {total} now"
            store.end(job.id, "FAILED", reason=reason)
            continue
        # No job overtakes another: a large one would never start.
        if job.slots > free:
            break
        lock = _try_lock(store, job.id)
        if lock is None:
            break
        free -= job.slots
        store.change(job.id, state="RUNNING", started=time.time())
        started.append((job.id, lock))
    return started


def _try_lock(store: Store, job_id: int) -> int | None:
    """Take the lock that a supervisor holds while it lives; return None if it is held."""
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
    """Start a job's supervisor, which inherits the lock, so that it is never free in between."""
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
