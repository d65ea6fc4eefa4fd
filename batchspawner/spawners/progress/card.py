"""The card of a server: all that its user, or an administrator, can be shown of its job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from ...jobs import JobState
from ...message import Message
from ..hub.jupyterhub import JobSpawner
from .messages import describe_state
from .time_left import end_of_job

if TYPE_CHECKING:
    from ...jobs import JobInfo
    from ..server_job import ServerJob
    from .messages import StartDescription

_STEP_S = 60
"""Precision of moments that are estimates: each change of a card is sent to its pages."""


class DescribesStart(Protocol):
    """Backend that can describe how far a start has come."""

    @property
    def status(self) -> JobInfo | None: ...

    @property
    def given_up_at(self) -> float | None: ...

    @property
    def running_since(self) -> float | None: ...

    async def update_estimate(self) -> None: ...

    def describe(self) -> StartDescription: ...


class StartingSpawner(JobSpawner, Protocol):
    """Spawner whose backend can describe its start."""

    @property
    def backend(self) -> DescribesStart: ...


def card_of(spawner: StartingSpawner) -> dict[str, Any]:
    """Return the card of a server of this library, as JSON; `innermost` finds the spawner.

    Texts are messages: `translation.translated` makes the card one for its reader. Moments are
    whole seconds since the epoch, and None where nothing is known.

    - `job_id`, `scheduler` (its title), `host`
    - `queue`: the one that the scheduler names, else the one that was asked for
    - `state`: ``submitting``, ``submitted``, ``waiting``, ``held``, ``running`` (the job runs),
      ``starting`` (its server has reported), ``other``, or ``ready``
    - `percent` of the start, and `headline`, a sentence
    - `reason` in plain words, `native_reason` in the scheduler's own, `advice` for the user
    - `submits_ahead`, `ahead`: how many submits, and how many jobs in the queue, are before it
    - `cores`: how many the user has and may have, if that is what holds the job
    - `expected_start`, `usual_wait_s`: the scheduler's estimate, and the median of recent waits
    - `unanswered_since`: since when the scheduler has been silent, if that is long
    - `since`: since when it waits or runs; `until`: when this start is given up
    - `ends`: when the job reaches its time limit
    - `requested`: what was asked for: queue, cores, memory, gpus, runtime, account
    - `alarm`: what the user must know of a misused claim code
    - `history`: what was told so far, a list of {"at", "text"}
    """
    job, told = spawner.job, spawner.backend.describe()
    is_ready = bool(job.port)
    estimate, status = told.estimate, spawner.backend.status
    state, headline = told.state, told.headline
    if is_ready:
        state, headline = state_of_ready(job.id, status)
    running = spawner.backend.running_since or (status.start if status else None)
    silent = time.time() - estimate.unanswered_s if estimate.is_unanswered else None
    return {
        "job_id": job.id,
        "scheduler": told.scheduler,
        "host": told.host,
        "queue": queue_of(job, status),
        "state": state,
        "percent": max([told.percent, *(stage.percent for stage in job.progress)]),
        "headline": headline,
        "reason": told.reason or told.native,
        "native_reason": told.native if told.reason else "",
        "advice": told.advice,
        "submits_ahead": told.submits_ahead,
        "ahead": estimate.ahead,
        "cores": None if estimate.cores is None else list(estimate.cores),
        "expected_start": _rounded(told.expected_start),
        "usual_wait_s": _rounded(estimate.median_wait_s, 1),
        "unanswered_since": _rounded(silent),
        "since": _rounded(running or job.submitted_at or None, 1),
        "until": None if is_ready else _rounded(spawner.backend.given_up_at, 1),
        "ends": _rounded(end_of_job(spawner, status), 1),
        "requested": dict(job.requested),
        "alarm": job.alarm,
        "history": [{"at": round(stage.at) or None, "text": stage.text} for stage in job.progress],
    }


def queue_of(job: ServerJob, status: JobInfo | None) -> str:
    """Return the queue that the scheduler names, else the one that was asked for."""
    return (status.queue if status else "") or job.requested.get("queue", "")


def state_of_ready(job_id: str, status: JobInfo | None) -> tuple[str, Message]:
    """Return the state and the headline of a server that has answered.

    The state is ``ready``, also while the scheduler still says that the job waits, or ``other``.
    """
    if status is None:
        return "ready", Message("")
    is_usual = status.state.is_waiting or status.state is JobState.RUNNING
    return "ready" if is_usual else "other", describe_state(job_id, status)


def _rounded(moment: float | None, step: int = _STEP_S) -> int | None:
    return None if moment is None else step * round(moment / step)
