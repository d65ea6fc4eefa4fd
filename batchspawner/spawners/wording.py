"""Say in words how far the start of a server has come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..jobs import JobState

if TYPE_CHECKING:
    from ..jobs import JobStatus

_PATIENCE = 60.0
"""Seconds from the start of a job until its silence is mentioned to the user."""


def describe_submit(title: str, ahead: int) -> str:
    """Describe a job that is not submitted yet, with how many submits come before it."""
    if not ahead:
        return f"Submitting the job to {title}"
    others = "one other submit comes" if ahead == 1 else f"{ahead} other submits come"
    return f"Submitting the job to {title}; {others} first"


def describe_start(
    spawner: Any, title: str, status: JobStatus | None, running: float
) -> tuple[int, str]:
    """Return a percentage and a sentence; `running` is for how many seconds the job has run."""
    job = f"Job {spawner.job_id}"
    if spawner.port:
        return 90, f"{job} runs, and its server is starting"
    if status is None:
        return 10, f"{job} is submitted to {title}"
    if status.state.is_waiting:
        return 20, f"{job} {_waiting(status)}"
    if status.state is JobState.RUNNING:
        return 60, f"{job} runs on {status.host}; {_starting(spawner, running)}"
    return 60, f"{job} is {status.describe()}"


def _waiting(status: JobStatus) -> str:
    text = "is held" if status.state is JobState.HELD else "waits in the queue"
    if status.reason:
        text += f": {status.reason}"
    if status.expected_start:
        minutes = max(1, round((status.expected_start - time.time()) / 60))
        text += f"; expected to start in about {minutes} min"
    return text


def _starting(spawner: Any, running: float) -> str:
    if running < _PATIENCE:
        return "its server is starting"
    return (
        "its server has not reported to the Hub yet. If it does not, look into the job's "
        f"log: the node must reach {spawner.hub.api_url} and find "
        f"{spawner.batchspawner_singleuser_cmd or 'the server'}"
    )
