"""Messages that describe how far the start of a server has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...jobs import JobState
from ..failures.spawn_failure import capital
from ..hub.jupyterhub import JobSpawner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...jobs import JobInfo
    from ...schedulers.base import Scheduler

_UNANSWERED_S = 60.0
"""Time after which the user is told that a running job, or the scheduler, has not answered."""


class DescribedSpawner(JobSpawner, Protocol):
    """What the messages use of a spawner."""

    batchspawner_singleuser_cmd: str


@dataclass(frozen=True)
class QueueEstimate:
    """What is known of a start besides the job's own status.

    `running_s` is for how many seconds the job has run, `ahead` how many jobs are before it in the
    queue, `median_wait_s` the usual wait here, `cores` how many cores the user has and may have,
    `unanswered_s` for how many seconds the scheduler has not answered.
    """

    running_s: float = 0.0
    ahead: int | None = None
    median_wait_s: float | None = None
    cores: tuple[int, int] | None = None
    unanswered_s: float = 0.0

    @property
    def is_unanswered(self) -> bool:
        """Whether the scheduler has not answered for so long that its users should know."""
        return self.unanswered_s >= _UNANSWERED_S


def describe_submit(ahead: int, title: str = "") -> str:
    """Return a sentence about a job that is not submitted yet; `ahead` submits come before it."""
    text = f"Submitting the job to {title}" if title else "Submitting the job"
    if not ahead:
        return text
    others = "one other submit comes" if ahead == 1 else f"{ahead} other submits come"
    return f"{text}; {others} first"


def describe_request(job_id: str, title: str, asked: Mapping[str, Any]) -> str:
    """Return a sentence about a job that was just submitted, with what was asked for."""
    queue = asked.get("partition") or asked.get("queue")
    cores, gpus = asked.get("nprocs"), asked.get("ngpus")
    requested = [
        f"queue {queue}" if queue else "",
        _count(cores, "core") if cores else "",
        f"{asked.get('memory')} of memory" if asked.get("memory") else "",
        _count(gpus, "GPU") if gpus and str(gpus) != "0" else "",
        f"at most {asked.get('runtime')} of time" if asked.get("runtime") else "",
        f"account {asked.get('account')}" if asked.get("account") else "",
    ]
    resources = ", ".join(part for part in requested if part)
    return f"Job {job_id} is submitted to {title}{': ' if resources else ''}{resources}"


def describe_start(
    spawner: DescribedSpawner, scheduler: Scheduler, status: JobInfo | None, estimate: QueueEstimate
) -> tuple[int, str]:
    """Return a percentage, and what is known about a submitted job in sentences."""
    percent, text = _stage(spawner, scheduler, status, estimate)
    if estimate.is_unanswered:
        since = (
            f"{capital(scheduler.title)} has not answered for {say_minutes(estimate.unanswered_s)}"
        )
        text = f"{text}. {since}; this is what was known before"
    return percent, text


def _stage(
    spawner: DescribedSpawner, scheduler: Scheduler, status: JobInfo | None, estimate: QueueEstimate
) -> tuple[int, str]:
    job = f"Job {spawner.job.id}"
    if spawner.port:
        return 90, f"{job} runs, and its server is starting"
    if status is None:
        return 10, f"{job} is submitted to {scheduler.title}"
    if status.state.is_waiting:
        return 20, f"{job} {_waiting(scheduler, status, estimate)}"
    if status.state is JobState.RUNNING:
        return 60, f"{job} runs on {status.host}; {_starting(spawner, estimate.running_s)}"
    return 60, f"{job} is {status.describe()}"


def say_minutes(seconds: float) -> str:
    """Return a rounded time in words: ``about 20 minutes``, ``about 3 hours``."""
    minutes = seconds / 60
    if minutes < 1.5:
        return "about a minute"
    if minutes < 5:
        return f"about {round(minutes)} minutes"
    if minutes < 90:
        return f"about {5 * round(minutes / 5)} minutes"
    if minutes < 36 * 60:
        return f"about {_count(round(minutes / 60), 'hour')}"
    return f"about {_count(round(minutes / 60 / 24), 'day')}"


def _count(number: object, word: str) -> str:
    return f"{number} {word}" if str(number) == "1" else f"{number} {word}s"


def _waiting(scheduler: Scheduler, status: JobInfo, estimate: QueueEstimate) -> str:
    known = scheduler.explain(status.reason)
    text = "is held" if status.state is JobState.HELD else "waits in the queue"
    if known.meaning:
        text += f": {known.meaning}"
    elif known.native:
        text += f": {known.native}"
    sentences = [text, *_cores(estimate.cores), known.advice.rstrip(".")]
    if not known.forever:
        sentences += [*_ahead(estimate.ahead), *_expected(status), *_usual(estimate.median_wait_s)]
    if known.meaning:
        sentences.append(f"({capital(scheduler.title)} says: {known.native})")
    return ". ".join(sentence for sentence in sentences if sentence)


def _cores(cores: tuple[int, int] | None) -> list[str]:
    return [] if cores is None else [f"You use {cores[0]} of {cores[1]} cores now"]


def _ahead(ahead: int | None) -> list[str]:
    if ahead is None:
        return []
    if not ahead:
        return ["It is the next one in its queue"]
    return [f"{_count(ahead, 'job')} {'waits' if ahead == 1 else 'wait'} before it"]


def _expected(status: JobInfo) -> list[str]:
    # An estimate that has passed says nothing.
    if not status.expected_start or status.expected_start <= time.time():
        return []
    return [f"It is expected to start in {say_minutes(status.expected_start - time.time())}"]


def _usual(seconds: float | None) -> list[str]:
    if seconds is None:
        return []
    if seconds < 45:
        return ["Usually the wait is less than a minute here"]
    return [f"Usually the wait is {say_minutes(seconds)} here"]


def _starting(spawner: DescribedSpawner, running: float) -> str:
    if running < _UNANSWERED_S:
        return "its server is starting"
    return (
        "its server has not reported to the Hub yet. If it does not, look into the job's "
        f"log: the node must reach {spawner.hub.api_url} and find "
        f"{spawner.batchspawner_singleuser_cmd or 'the server'}"
    )
