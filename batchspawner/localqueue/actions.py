"""What the commands of the queue do to jobs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from .folder import QueueError
from .processes import mark_of, send
from .store import LIVE, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .store import QueuedJob, Store

_RECENTLY_S = 86400.0
"""How long a job that has ended is among all jobs."""


def listing(
    store: Store, ids: Sequence[int], *, include_ended: bool, comment: str | None
) -> list[dict[str, object]]:
    """Return jobs as `query` prints them, those that wait with their reason.

    These are the ones in `ids`, by default all that wait or run, with `include_ended` those that
    ended in the last day, too; only those with this `comment`, unless it is None.
    """
    waiting = store.jobs("PENDING")
    free = max(store.slots - store.slots_in_use(), 0)
    reasons = {job.id: _reason(job.slots, free, place) for place, job in enumerate(waiting)}
    jobs = store.jobs(*LIVE) + waiting
    if ids:
        jobs = [job for job_id in ids if (job := store.job(job_id)) is not None]
    elif include_ended:
        jobs += store.ended_since(time.time() - _RECENTLY_S)
    if comment is not None:
        jobs = [job for job in jobs if job.comment == comment]
    jobs.sort(key=lambda job: job.id)
    return [as_json(job, reasons.get(job.id, "")) for job in jobs]


def _reason(slots: int, free: int, ahead: int) -> str:
    text = f"needs {slots} of the slots, {free} free"
    return f"{text}; {ahead} ahead in the queue" if ahead else text


def cancel(store: Store, job_id: int) -> str:
    """Cancel a job; return a note if there was nothing to cancel. Raises QueueError."""
    with store.locked():
        job = store.job(job_id)
        if job is None:
            return f"there is no job {job_id}"
        if job.has_ended:
            return f"job {job_id} has ended already"
        if job.state == "PENDING":
            store.end(job_id, "CANCELLED")
            return ""
        _check_machine(job)
        store.change(job_id, cancelled=1, state="COMPLETING")
    # A supervisor that has not written its id yet will read `cancelled` itself.
    if job.supervisor:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(job.supervisor, signal.SIGTERM)
    return ""


def send_signal(store: Store, job_id: int, number: int) -> None:
    """Send a signal to all processes of a running job. Raises QueueError if there are none."""
    job = store.job(job_id)
    if job is None or job.state not in LIVE:
        raise QueueError(f"job {job_id} does not run")
    _check_machine(job)
    if not send(mark_of(store.folder, job_id), job.leader, number):
        raise QueueError(f"job {job_id} has no processes at this moment: it starts or ends")


def _check_machine(job: QueuedJob) -> None:
    """Raise QueueError for a job on another machine, if several machines share the folder."""
    if job.machine not in (None, os.uname().nodename):
        raise QueueError(f"job {job.id} runs on {job.machine}; say this there")


def exit_status(job: QueuedJob) -> int:
    """Return how a job ended, as a shell would: 128 and the signal that ended it."""
    if job.signal:
        return 128 + job.signal
    return 1 if job.exit_code is None else job.exit_code
