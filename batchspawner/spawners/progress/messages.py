"""Say in words how far the start of a server has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...jobs import JobInfo
    from ...schedulers.base import Scheduler

_PATIENCE = 60.0
"""Seconds until the silence of a job that runs, or of a scheduler, is mentioned to the user."""


@dataclass(frozen=True)
class QueueEstimate:
    """Hold what is known besides the job's own status.

    `running` is for how many seconds the job has run, `ahead` how many jobs come before it,
    `usual` the wait in seconds that is usual here, `cores` how many cores the user has and may,
    `silence` for how many seconds the scheduler has not answered.
    """

    running: float = 0.0
    ahead: int | None = None
    usual: float | None = None
    cores: tuple[int, int] | None = None
    silence: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the scheduler has not answered for so long that its users should know."""
        return self.silence >= _PATIENCE


def describe_submit(ahead: int, title: str = "") -> str:
    """Describe a job that is not submitted yet, with how many submits come before it."""
    text = f"Submitting the job to {title}" if title else "Submitting the job"
    if not ahead:
        return text
    others = "one other submit comes" if ahead == 1 else f"{ahead} other submits come"
    return f"{text}; {others} first"


def describe_request(job_id: str, title: str, asked: Mapping[str, Any]) -> str:
    """Describe a job that is submitted, with what was asked for."""
    queue = asked.get("partition") or asked.get("queue")
    cores, gpus = asked.get("nprocs"), asked.get("ngpus")
    wishes = [
        f"queue {queue}" if queue else "",
        _count(cores, "core") if cores else "",
        f"{asked.get('memory')} of memory" if asked.get("memory") else "",
        _count(gpus, "GPU") if gpus and str(gpus) != "0" else "",
        f"at most {asked.get('runtime')} of time" if asked.get("runtime") else "",
        f"account {asked.get('account')}" if asked.get("account") else "",
    ]
    said = ", ".join(wish for wish in wishes if wish)
    return f"Job {job_id} is submitted to {title}{': ' if said else ''}{said}"


def describe_start(
    spawner: Any, scheduler: Scheduler, status: JobInfo | None, outlook: QueueEstimate
) -> tuple[int, str]:
    """Return a percentage, and in sentences what is known about a job that is submitted."""
    percent, text = _stage(spawner, scheduler, status, outlook)
    if outlook.is_silent:
        since = f"{capital(scheduler.title)} has not answered for {say_minutes(outlook.silence)}"
        text = f"{text}. {since}; this is what was known before"
    return percent, text


def _stage(
    spawner: Any, scheduler: Scheduler, status: JobInfo | None, outlook: QueueEstimate
) -> tuple[int, str]:
    job = f"Job {spawner.job_id}"
    if spawner.port:
        return 90, f"{job} runs, and its server is starting"
    if status is None:
        return 10, f"{job} is submitted to {scheduler.title}"
    if status.state.is_waiting:
        return 20, f"{job} {_waiting(scheduler, status, outlook)}"
    if status.state is JobState.RUNNING:
        return 60, f"{job} runs on {status.host}; {_starting(spawner, outlook.running)}"
    return 60, f"{job} is {status.describe()}"


def say_minutes(seconds: float) -> str:
    """Return a time without false precision: ``about 20 minutes``, ``about 3 hours``."""
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


def capital(text: str) -> str:
    """Return a text as a sentence begins with it."""
    return text[:1].upper() + text[1:]


def _count(number: Any, word: str) -> str:
    return f"{number} {word}" if str(number) == "1" else f"{number} {word}s"


def _waiting(scheduler: Scheduler, status: JobInfo, outlook: QueueEstimate) -> str:
    known = scheduler.explain(status.reason)
    text = "is held" if status.state is JobState.HELD else "waits in the queue"
    if known.meaning:
        text += f": {known.meaning}"
    elif known.native:
        text += f": {known.native}"
    sentences = [text, *_cores(outlook.cores), known.advice.rstrip(".")]
    if not known.forever:
        sentences += [*_ahead(outlook.ahead), *_expected(status), *_usual(outlook.usual)]
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
    # An estimate that has passed is none.
    if not status.expected_start or status.expected_start <= time.time():
        return []
    return [f"It is expected to start in {say_minutes(status.expected_start - time.time())}"]


def _usual(seconds: float | None) -> list[str]:
    if seconds is None:
        return []
    if seconds < 45:
        return ["Usually the wait is less than a minute here"]
    return [f"Usually the wait is {say_minutes(seconds)} here"]


def _starting(spawner: Any, running: float) -> str:
    if running < _PATIENCE:
        return "its server is starting"
    return (
        "its server has not reported to the Hub yet. If it does not, look into the job's "
        f"log: the node must reach {spawner.hub.api_url} and find "
        f"{spawner.batchspawner_singleuser_cmd or 'the server'}"
    )
