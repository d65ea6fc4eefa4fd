"""Speak Moab, in front of Torque or another resource manager: msub, mdiag, mjobctl.

Manual: https://docs.adaptivecomputing.com/9-1-3/MWM/moab.htm
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..commands import Call
from ..errors import ParseError, SchedulerError, SchedulerUnavailable
from ..jobs import JobState, JobStatus, TaggedJob
from .base import Scheduler

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..commands import CommandResult
    from ..jobs import JobRequest
    from .base import Listing

_UNKNOWN_JOB = re.compile(
    "invalid job specified|cannot locate job|job .* not found|no matching job", re.IGNORECASE
)
_ENDED = re.compile("invalid job specified|cannot locate job|not found|completed", re.IGNORECASE)

# "Job States" in
# https://docs.adaptivecomputing.com/9-1-3/MWM/Content/topics/moabWorkloadManager/topics/schedulingBasics/jobStates.html
STATES = {
    "idle": JobState.PENDING,
    "staged": JobState.PENDING,
    "staging": JobState.PENDING,
    "migrated": JobState.PENDING,
    "starting": JobState.PENDING,
    "blocked": JobState.HELD,
    "hold": JobState.HELD,
    "batchhold": JobState.HELD,
    "systemhold": JobState.HELD,
    "userhold": JobState.HELD,
    "deferred": JobState.HELD,
    "running": JobState.RUNNING,
    "suspended": JobState.SUSPENDED,
    "completed": JobState.COMPLETED,
    "removed": JobState.CANCELLED,
    "vacated": JobState.PREEMPTED,
}


@dataclass(frozen=True)
class Moab(Scheduler):
    """Build the commands of Moab. A job id is ``12``, or ``Moab.12`` before it has a queue."""

    name: ClassVar[str] = "moab"
    title: ClassVar[str] = "Moab"
    tool_variables: ClassVar[tuple[str, ...]] = ("MOABHOMEDIR", "PBS_SERVER", "PBS_DEFAULT")
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?:[A-Za-z][A-Za-z0-9_-]*\.)?[0-9]+(?:\[[0-9]*\])?(?:\.[A-Za-z0-9_.-]+)?"
    )
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "cannot connect|unable to connect|connection refused|communication error|timed? ?out"
        "|lost connection|cannot read",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Call[str]:
        tag = ("-N", request.tag) if request.tag else ()
        argv = ("msub", *tag, *request.arguments)
        return Call(argv, _parse_submit, request.script, request.environment, timeout=60)

    def query(self, job_ids: Collection[str]) -> Sequence[Call[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        return [Call(("mdiag", "-j", "--xml"), lambda result: _parse_query(result, wanted))]

    def confirm(self, job_id: str) -> Sequence[Call[JobStatus | None]]:
        argv = ("mdiag", "-j", self.checked(job_id), "--xml")
        return [Call(argv, lambda result: _parse_one(result, job_id))]

    def find(self, tag: str) -> Call[list[str]]:
        return Call(("mdiag", "-j", "--xml"), lambda result: _parse_find(result, tag))

    def tagged(self) -> Call[list[TaggedJob]]:
        return Call(("mdiag", "-j", "--xml"), _parse_tagged)

    def cancel(self, job_id: str) -> Call[None]:
        return Call(("mjobctl", "-c", self.checked(job_id)), _parse_cancel)

    def signal(self, job_id: str, number: int) -> Call[None]:
        return Call(("mjobctl", "-N", str(number), self.checked(job_id)), self.answered)


def _parse_submit(result: CommandResult) -> str:
    Moab.accepted(result)
    # An empty line comes first.
    job_id = result.stdout.strip()
    if not Moab.job_id_pattern.fullmatch(job_id):
        raise ParseError("msub printed no job id.", result)
    return job_id


def _jobs(result: CommandResult) -> list[dict[str, str]]:
    """Return the attributes of each job; their names are written in several ways."""
    if not result.ok:
        raise SchedulerUnavailable("mdiag failed.", result)
    try:
        # The document is made by mdiag, which escapes what users write.
        jobs = ET.fromstring(result.stdout).iter("job")  # noqa: S314
    except ET.ParseError as error:
        raise ParseError(f"mdiag printed no XML: {error}", result) from error
    return [{name.lower(): value for name, value in job.attrib.items()} for job in jobs]


def _is(job: dict[str, str], job_id: str) -> bool:
    """Tell whether this is the job: its id changes where the resource manager gives another."""
    names = {job.get(name, "") for name in ("jobid", "drmjid", "srmjid", "sysjid", "grid")}
    return job_id in names or job_id.partition(".")[0] in names


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobStatus]:
    jobs = _jobs(result)
    return {job_id: _status(job_id, job) for job_id in wanted for job in jobs if _is(job, job_id)}


def _parse_one(result: CommandResult, job_id: str) -> JobStatus | None:
    if not result.ok and _UNKNOWN_JOB.search(result.text):
        return None
    return next((_status(job_id, job) for job in _jobs(result) if _is(job, job_id)), None)


def _status(job_id: str, job: dict[str, str]) -> JobStatus:
    native = job.get("state", "")
    state = STATES.get(native.lower(), JobState.UNKNOWN)
    code = job.get("completioncode", "")
    exit_code = int(code) if state is JobState.COMPLETED and code.isdecimal() else None
    if exit_code:
        state = JobState.FAILED
    start = _seconds(job.get("starttime", ""))
    limit = _seconds(job.get("reqawduration", ""))
    over = start + limit if start and limit else None
    reason = job.get("blockreason") or job.get("holdreason") or job.get("hold") or ""
    return JobStatus(
        job_id=job_id,
        state=state,
        native=native,
        reason=" ".join(reason.split()) if state.is_waiting else "",
        # "node1:4,node2:4"
        host=re.split("[:,]", job.get("allocnodelist", ""))[0],
        queue=job.get("class", ""),
        name=job.get("jobname", ""),
        start=None if state.is_waiting else start,
        end=_seconds(job.get("completiontime", "")) if state.is_final else over,
        exit_code=exit_code,
    )


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() and int(text) else None


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    found = [
        job.get("jobid", "")
        for job in _jobs(result)
        if job.get("jobname") == tag
        and not STATES.get(job.get("state", "").lower(), JobState.UNKNOWN).is_final
    ]
    if len(found) > 1:
        # Names can be chosen: another user may have taken one that was seen in the list.
        raise SchedulerError(f"more than one job is called {tag}: {', '.join(found)}", result)
    return found


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    return [
        TaggedJob(job.get("jobid", ""), job.get("user", ""), job.get("jobname", ""))
        for job in _jobs(result)
    ]


def _parse_cancel(result: CommandResult) -> None:
    if not _ENDED.search(result.text):
        Moab.answered(result)
