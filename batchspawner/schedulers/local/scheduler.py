"""The embedded queue of this machine: batchspawner-queue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypedDict

from ...commands import Command
from ...errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from ...jobs import JobInfo, JobState, TaggedJob
from ...queues import Queue
from ..base import Scheduler
from ..reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ..base import Listing

_QUEUE = "batchspawner-queue"

# batchspawner.localqueue.store writes them.
STATES = {
    "PENDING": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "COMPLETING": JobState.COMPLETING,
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
    "NODE_FAIL": JobState.NODE_FAIL,
}


_STOP_ANOTHER = "Stop another server of yours, or wait until one ends."
_REASONS = (
    Reason(
        r"needs (?P<slots>\d+) of the slots, (?P<free>\d+) free; (?P<ahead>\d+) ahead",
        "it needs %(slots)s of the queue's slots, %(free)s are free, and %(ahead)s before it wait, "
        "too",
        _STOP_ANOTHER,
    ),
    Reason(
        r"needs (?P<slots>\d+) of the slots, (?P<free>\d+) free",
        "it needs %(slots)s of the queue's slots, and %(free)s are free; it is the next one",
        _STOP_ANOTHER,
    ),
)


@dataclass(frozen=True)
class LocalQueue(Scheduler):
    """Commands of the embedded queue."""

    name: ClassVar[str] = "local"
    title: ClassVar[str] = "the local queue"
    reasons = _REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("BATCHSPAWNER_QUEUE_*",)
    state_delay_s: ClassVar[float] = 0.0
    environment_readers: ClassVar[str] = "nobody but the owner of the queue"
    job_id_variable: ClassVar[str] = "BATCHSPAWNER_QUEUE_JOB_ID"
    minimum_interval: ClassVar[float] = 0.5
    shared: ClassVar[bool] = False
    this_machine: ClassVar[bool] = True
    directives: ClassVar[tuple[str, ...]] = ("#QUEUE",)
    bare_runtime_s: ClassVar[int] = 60
    job_variables: ClassVar[re.Pattern[str]] = re.compile("BATCHSPAWNER_QUEUE_JOB(?:_ID)?")
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?QUEUE --output=(?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile("%j")

    def submit(self, request: JobRequest) -> Command[str]:
        tag = (f"--comment={request.tag}",) if request.tag else ()
        argv = (_QUEUE, "submit", *tag, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment)

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}

        def parse(result: CommandResult) -> dict[str, JobInfo]:
            return {status.job_id: status for status in _read(result) if status.job_id in wanted}

        return [Command((_QUEUE, "query", "--all"), parse)]

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        def parse(result: CommandResult) -> JobInfo | None:
            return next(iter(_read(result)), None)

        return [Command((_QUEUE, "query", self.checked(job_id)), parse)]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(
            (_QUEUE, "query", f"--comment={tag}"),
            lambda result: [status.job_id for status in _read(result)],
        )

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(
            (_QUEUE, "query"),
            lambda result: [TaggedJob(one.job_id, "", one.comment) for one in _read(result)],
        )

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:  # noqa: ARG002  (a queue has one)
        return Command((_QUEUE, "query"), _read)

    def availability(self) -> Command[list[Queue]]:
        return Command((_QUEUE, "info"), _parse_info)

    def option(self, name: str, value: object) -> str:  # noqa: ARG002
        return ""

    def cancel(self, job_id: str) -> Command[None]:
        return Command((_QUEUE, "cancel", self.checked(job_id)), _check)

    def signal(self, job_id: str, number: int) -> Command[None]:
        return Command((_QUEUE, "signal", self.checked(job_id), str(number)), _check)


def _parse_submit(result: CommandResult) -> str:
    if not result.ok:
        raise SubmitError("The local queue refused the job.", result)
    job_id = result.stdout.strip()
    if not LocalQueue.job_id_pattern.fullmatch(job_id):
        raise ParseError("batchspawner-queue submit printed no job id.", result)
    return job_id


def _parse_info(result: CommandResult) -> list[Queue]:
    if not result.ok:
        raise SchedulerUnavailable("The local queue did not answer.", result)
    try:
        told: dict[str, int] = json.loads(result.stdout)
        slots, free = int(told["slots"]), int(told["free"])
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError(f"batchspawner-queue info printed no JSON: {error!r}", result) from error
    return [Queue("", True, cores=slots, gpus=0, free_cores=free, all_cores=slots)]


def _check(result: CommandResult) -> None:
    if not result.ok:
        raise SchedulerError(f"{_QUEUE} failed.", result)


def _read(result: CommandResult) -> list[JobInfo]:
    if not result.ok:
        raise SchedulerUnavailable("The local queue did not answer.", result)
    try:
        listing: dict[str, list[_Record]] = json.loads(result.stdout)
        return [_status(job) for job in listing["jobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError(
            f"batchspawner-queue query printed no listing: {error!r}", result
        ) from error


class _Record(TypedDict):
    """One job as `batchspawner-queue query` prints it; moments in seconds since the epoch."""

    id: str
    state: str
    name: str
    comment: str
    reason: str
    host: str
    started: float | None
    ended: float | None
    deadline: float | None
    exit_code: int | None
    signal: int | None


def _status(job: _Record) -> JobInfo:
    state = STATES.get(job["state"], JobState.UNKNOWN)
    return JobInfo(
        job_id=job["id"],
        state=state,
        native=job["state"],
        reason=job["reason"],
        host=job["host"],
        name=job["name"],
        comment=job["comment"],
        start=job["started"],
        end=job["ended"] if state.is_final else job["deadline"],
        exit_code=job["exit_code"],
        signal=job["signal"],
    )
