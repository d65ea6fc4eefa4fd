"""Words that describe how far the start of a server has come; all of them stand here."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...jobs import JobState
from ...message import Joined, Message, capital, counted, headed
from ...units import say_minutes
from ..hub.jupyterhub import JobSpawner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...jobs import JobInfo
    from ...schedulers.base import Scheduler

_UNANSWERED_S = 60.0
"""Time after which the user is told that a running job, or the scheduler, has not answered."""

_ESTIMATE_STEP_S = 600
"""Change of an expected start that is worth a sentence."""


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


class Sentence(NamedTuple):
    """Sentence of a description. What has the same `key` is the same news in other words."""

    key: str
    text: str


@dataclass(frozen=True)
class StartDescription:
    """How far a start has come.

    `state` is ``submitting``, ``submitted``, ``waiting``, ``held``, ``running`` (the job runs),
    ``starting`` (its server has reported) or ``other``. `headline` is what stays in the history.
    The scheduler's `reason` is in plain words, `native` in its own. `expected_start` is in seconds
    since the epoch, and None if it is unknown or over. All texts but `native` are messages, unless
    an earlier Hub process has stored them.
    """

    percent: int
    state: str
    headline: str
    reason: str = ""
    native: str = ""
    advice: str = ""
    scheduler: str = ""
    host: str = ""
    submits_ahead: int = 0
    expected_start: float | None = None
    estimate: QueueEstimate = QueueEstimate()

    def sentences(self) -> Iterator[Sentence]:
        """Yield what a user reads, each with the key by which it is told once."""
        estimate = self.estimate
        yield Sentence(self.headline, self.headline)
        figures = [*_submits(self.submits_ahead), *_cores(estimate.cores), self.advice]
        figures += [*_ahead(estimate.ahead)]
        yield from (Sentence(text, text) for text in figures if text)
        if self.expected_start is not None:
            wait = say_minutes(self.expected_start - time.time())
            text = Message("It is expected to start in %(time)s", time=wait)
            yield Sentence(f"expected {round(self.expected_start / _ESTIMATE_STEP_S)}", text)
        yield from (Sentence("usual", text) for text in _usual(estimate.median_wait_s))
        scheduler = Message(capital(self.scheduler))
        if self.native and self.reason:
            text = Message(
                "(%(scheduler)s says: %(reason)s)", scheduler=scheduler, reason=self.native
            )
            yield Sentence(text, text)
        if estimate.is_unanswered:
            text = Message(
                "%(scheduler)s has not answered for %(time)s; this is what was known before",
                scheduler=scheduler,
                time=say_minutes(estimate.unanswered_s),
            )
            yield Sentence("unanswered", text)

    @property
    def text(self) -> Message:
        """The whole in sentences, the last of them without its full stop."""
        return Joined(". ", (one.text for one in self.sentences()))


def describe_submit(ahead: int, title: str = "") -> StartDescription:
    """Return what is known of a job that is not submitted yet; `ahead` submits come before it."""
    scheduler = Message(title)
    text = Message("Submitting the job to %(scheduler)s", scheduler=scheduler)
    if not title:
        text = Message("Submitting the job")
    return StartDescription(0, "submitting", text, scheduler=scheduler, submits_ahead=ahead)


def requested_resources(variables: Mapping[str, Any]) -> dict[str, str]:
    """Return what a job asks for, of the variables of its script, as far as users know it."""
    named = {
        "queue": variables.get("partition") or variables.get("queue"),
        "cores": variables.get("nprocs"),
        "memory": variables.get("memory"),
        "gpus": variables.get("ngpus"),
        "runtime": variables.get("runtime"),
        "account": variables.get("account"),
    }
    return {name: str(value) for name, value in named.items() if value and str(value) != "0"}


def describe_request(job_id: str, title: str, requested: Mapping[str, str]) -> Message:
    """Return a sentence about a job that was just submitted, with what was asked for."""
    text = _submitted(job_id, Message(title))
    if not requested:
        return text
    return headed(text, Joined(", ", (_resource(*one) for one in requested.items())))


def _resource(name: str, value: str) -> Message:
    # A site may ask for cores in another way than by a number.
    number = int(value) if value.isdecimal() else 2
    return {
        "queue": Message("queue %(value)s", value=value),
        "cores": counted("%(value)s core", "%(value)s cores", number, value=value),
        "gpus": counted("%(value)s GPU", "%(value)s GPUs", number, value=value),
        "memory": Message("%(value)s of memory", value=value),
        "runtime": Message("at most %(value)s of time", value=value),
        "account": Message("account %(value)s", value=value),
    }[name]


def _submitted(job_id: str, scheduler: Message) -> Message:
    return Message("Job %(job)s is submitted to %(scheduler)s", job=job_id, scheduler=scheduler)


def describe_start(
    spawner: DescribedSpawner, scheduler: Scheduler, status: JobInfo | None, estimate: QueueEstimate
) -> StartDescription:
    """Return what is known about a submitted job."""
    job, title = spawner.job.id, Message(scheduler.title)
    if spawner.port:
        text = Message("Job %(job)s runs, and its server is starting", job=job)
        found = StartDescription(90, "starting", text)
    elif status is None:
        found = StartDescription(10, "submitted", _submitted(job, title))
    elif status.state.is_waiting:
        found = _waiting(job, scheduler, status)
    elif status.state is JobState.RUNNING:
        text = Message(
            "Job %(job)s runs on %(host)s; its server is starting", job=job, host=status.host
        )
        advice = _unreported(spawner) if estimate.running_s >= _UNANSWERED_S else ""
        found = StartDescription(60, "running", text, advice=advice)
    else:
        found = StartDescription(60, "other", describe_state(job, status))
    if not (status and status.state.is_waiting) or scheduler.explain(status.reason).forever:
        # Nothing is promised of a job that does not start by waiting.
        estimate = replace(estimate, ahead=None, median_wait_s=None)
        found = replace(found, expected_start=None)
    host = status.host if status else ""
    return replace(found, scheduler=title, host=host, estimate=estimate)


def describe_state(job_id: str, status: JobInfo) -> Message:
    """Return a sentence about a job in a state of which nothing else is known."""
    return Message("Job %(job)s is %(state)s", job=job_id, state=status.describe())


def _waiting(job: str, scheduler: Scheduler, status: JobInfo) -> StartDescription:
    known = scheduler.explain(status.reason)
    held = status.state is JobState.HELD
    text = Message("Job %(job)s waits in the queue", job=job)
    if held:
        text = Message("Job %(job)s is held", job=job)
    if known.meaning or known.native:
        text = headed(text, known.meaning or known.native)
    expected = status.expected_start
    return StartDescription(
        20,
        "held" if held else "waiting",
        text,
        reason=known.meaning,
        native=known.native,
        advice=known.advice,
        # An estimate that has passed says nothing.
        expected_start=expected if expected and expected > time.time() else None,
    )


def _submits(ahead: int) -> list[Message]:
    if not ahead:
        return []
    return [
        counted("%(number)s other submit comes first", "%(number)s other submits come first", ahead)
    ]


def _cores(cores: tuple[int, int] | None) -> list[Message]:
    if cores is None:
        return []
    used, allowed = cores
    return [Message("You use %(used)s of %(allowed)s cores now", used=used, allowed=allowed)]


def _ahead(ahead: int | None) -> list[Message]:
    if ahead is None:
        return []
    if not ahead:
        return [Message("It is the next one in its queue")]
    return [counted("%(number)s job waits before it", "%(number)s jobs wait before it", ahead)]


def _usual(seconds: float | None) -> list[Message]:
    if seconds is None:
        return []
    if seconds < 45:
        return [Message("Usually the wait is less than a minute here")]
    return [Message("Usually the wait is %(time)s here", time=say_minutes(seconds))]


def _unreported(spawner: DescribedSpawner) -> Message:
    return Message(
        "It has not reported to the Hub yet. If it does not, look into the job's log: the node "
        "must reach %(hub)s and find %(program)s",
        hub=spawner.hub.api_url,
        program=spawner.batchspawner_singleuser_cmd or Message("the server"),
    )
