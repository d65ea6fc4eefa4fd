"""Rows of the list of jobs, as the browser gets them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..allocation.job_origin import Origin
from ..jobs import JobInfo, JobState
from ..message import Message

if TYPE_CHECKING:
    from ..allocation.job_records import JobRecord
    from ..schedulers.base import Scheduler
    from .sources import ExecutorProgress
    from .usage import Usage

SERVER = "server"
"""Kind and id of the row of the job in which this server runs."""

KINDS = {
    "kernels": "kernel",
    "magics": "cell",
    "functions": "function",
    "clusters": "cluster",
    "notebooks": "notebook",
}
"""Kind of a row by the front end that submitted its job."""

OTHER = "other"
"""Kind of the jobs that were submitted without this library."""

EXECUTOR = "executor"
"""Kind of the row that stands for an executor and all its calls."""

UNASKED = Message("not asked yet")
"""State of a job of which the scheduler has not said anything yet."""


@dataclass(frozen=True)
class Row:
    """One job, or one executor with many; all moments are seconds since the epoch.

    `state` is the name of a `JobState`, empty before the scheduler has answered; `words` says the
    same for people, with the reason, and `advice` what they can do. `started`, `expected` (its
    start) and `until` are None if they are not known. `parent` is the id of an executor's row.
    `calls` are the calls of an executor: all, done, failed. `usage` is of this server's job only.
    """

    id: str
    kind: str
    name: str
    job_id: str = ""
    scheduler: str = ""
    state: str = ""
    words: str = UNASKED
    advice: str = ""
    queue: str = ""
    node: str = ""
    submitted: float | None = None
    started: float | None = None
    expected: float | None = None
    until: float | None = None
    ended: bool = False
    origin: Origin = field(default_factory=Origin)
    parent: str = ""
    calls: tuple[int, int, int] | None = None
    usage: Usage | None = None
    has_log: bool = False
    can_cancel: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the row as the browser gets it."""
        return asdict(self)


def reason_in_words(scheduler: Scheduler, status: JobInfo) -> tuple[str, str]:
    """Return the state with its reason as a phrase, and what the job's owner can do."""
    if not status.state.is_waiting or not status.reason:
        return status.describe(), ""
    said = scheduler.explain(status.reason)
    if not said.meaning:
        return status.describe(), said.advice
    words = Message(
        "%(state)s: %(meaning)s (%(native)s)",
        state=Message(status.state.value),
        meaning=said.meaning,
        native=said.native,
    )
    return words, said.advice


def status_fields(scheduler: Scheduler, status: JobInfo | None) -> dict[str, Any]:
    """Return the fields of a row that a status of its job fills."""
    if status is None:
        return {}
    words, advice = reason_in_words(scheduler, status)
    return {
        "state": "" if status.gone else status.state.name,
        "words": words,
        "advice": advice,
        "queue": status.queue,
        "node": status.host,
        "started": status.start,
        "expected": status.expected_start if status.state.is_waiting else None,
        "until": status.end,
        "ended": status.is_final,
        "can_cancel": not status.is_final and status.state is not JobState.COMPLETING,
    }


def record_row(record: JobRecord, scheduler: Scheduler | None, status: JobInfo | None) -> Row:
    """Return the row of a job that was submitted through this library."""
    known: dict[str, Any] = {"can_cancel": True}
    if record.ended:
        known = {"words": Message(record.ended), "ended": True}
    elif scheduler is None:
        words = Message("the scheduler %(name)s is not known here", name=record.scheduler)
        known = {"words": words}
    elif status is not None:
        known = status_fields(scheduler, status)
    return Row(
        id=record.full_name,
        kind=KINDS.get(record.front_end, record.front_end),
        name=record.name,
        job_id=record.job_id,
        scheduler=record.scheduler,
        submitted=record.submitted,
        origin=record.origin,
        parent=f"{EXECUTOR}:{record.group}" if record.group else "",
        has_log=bool(record.ended) or (status is not None and not status.state.is_waiting),
        **known,
    )


def other_row(scheduler: Scheduler, status: JobInfo) -> Row:
    """Return the row of a job that the scheduler lists, and that is not ours."""
    return Row(
        id=f"{scheduler.name}:{status.job_id}",
        kind=OTHER,
        name=status.name,
        job_id=status.job_id,
        scheduler=scheduler.name,
        **status_fields(scheduler, status),
    )


def executor_row(
    key: str, known: ExecutorProgress | None, jobs: list[Row], before: Row | None
) -> Row:
    """Return the row of an executor, with what is known of its calls and of its jobs.

    `before` is the row as it was, for one whose file is gone.
    """
    open_ = [one for one in jobs if not one.ended]
    shown = next((one for one in open_ if one.started), None) or next(iter(open_ or jobs), None)
    row = before or Row(key, EXECUTOR, "functions")
    if known is not None:
        row = replace(
            row, name=known.name, calls=known.calls, origin=known.origin, submitted=known.started
        )
    if shown is not None:
        fields = ("state", "words", "advice", "queue", "scheduler")
        row = replace(row, **{name: getattr(shown, name) for name in fields})
        row = replace(row, origin=row.origin if known else shown.origin)
    ended = (known is None or known.closed is not None) and not open_
    until = known.closed if known else row.until
    return replace(row, ended=ended, until=until, can_cancel=bool(open_))
