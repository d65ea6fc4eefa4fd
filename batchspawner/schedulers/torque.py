"""Speak Torque: qsub, qstat, qdel and qsig.

Manual: https://github.com/adaptivecomputing/torque/tree/master/doc/man
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

# A server hides others' jobs unless `query_other_jobs` is set: from the list without a word, of one
# job with "Unauthorized Request". The monitor then asks the job's owner.
_UNKNOWN_JOB = re.compile("unknown job id", re.IGNORECASE)
_ENDED = re.compile("unknown job id|nonexistent job id|invalid state for job", re.IGNORECASE)

# qstat(1B), "Job State"
STATES = {
    "C": JobState.COMPLETED,
    "E": JobState.COMPLETING,
    "H": JobState.HELD,
    "Q": JobState.PENDING,
    "R": JobState.RUNNING,
    "S": JobState.SUSPENDED,
    "T": JobState.PENDING,
    "W": JobState.PENDING,
}
_OVER_WALLTIME = -11


@dataclass(frozen=True)
class Torque(Scheduler):
    """Build the commands of Torque. A job id is ``12.server``, ``12[].server`` an array."""

    name: ClassVar[str] = "torque"
    title: ClassVar[str] = "Torque"
    tool_variables: ClassVar[tuple[str, ...]] = ("PBS_SERVER", "PBS_DEFAULT")
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"[0-9]+(?:\[[0-9]*\])?(?:\.[A-Za-z0-9_.-]+)?"
    )
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "unable to communicate|cannot connect|connection refused|timeout|end of file",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Call[str]:
        tag = ("-N", request.tag) if request.tag else ()
        argv = ("qsub", *tag, *request.arguments)
        return Call(argv, _parse_submit, request.script, request.environment, timeout=60)

    def query(self, job_ids: Collection[str]) -> Sequence[Call[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        # Without ids: with several of them it prints one document for each.
        return [Call(("qstat", "-x"), lambda result: _parse_query(result, wanted))]

    def confirm(self, job_id: str) -> Sequence[Call[JobStatus | None]]:
        argv = ("qstat", "-x", self.checked(job_id))
        return [Call(argv, lambda result: _parse_one(result, job_id))]

    def find(self, tag: str) -> Call[list[str]]:
        return Call(("qstat", "-x"), lambda result: _parse_find(result, tag))

    def tagged(self) -> Call[list[TaggedJob]]:
        return Call(("qstat", "-x"), _parse_tagged)

    def cancel(self, job_id: str) -> Call[None]:
        return Call(("qdel", self.checked(job_id)), _parse_cancel)

    def signal(self, job_id: str, number: int) -> Call[None]:
        return Call(("qsig", "-s", str(number), self.checked(job_id)), self.answered)


def _parse_submit(result: CommandResult) -> str:
    Torque.accepted(result)
    job_id = result.stdout.strip()
    if not Torque.job_id_pattern.fullmatch(job_id):
        raise ParseError("qsub printed no job id.", result)
    return job_id


def _jobs(result: CommandResult) -> list[ET.Element]:
    if not result.ok:
        raise SchedulerUnavailable("qstat failed.", result)
    if not result.stdout.strip():
        return []
    try:
        # The document is made by qstat, which escapes what users write.
        return ET.fromstring(result.stdout).findall("Job")  # noqa: S314
    except ET.ParseError as error:
        raise ParseError(f"qstat printed no XML: {error}", result) from error


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobStatus]:
    jobs = {job.findtext("Job_Id", "").partition(".")[0]: job for job in _jobs(result)}
    return {
        job_id: _status(job_id, jobs[number])
        for job_id in wanted
        if (number := job_id.partition(".")[0]) in jobs
    }


def _parse_one(result: CommandResult, job_id: str) -> JobStatus | None:
    if not result.ok and _UNKNOWN_JOB.search(result.text):
        return None
    jobs = _jobs(result)
    return _status(job_id, jobs[0]) if jobs else None


def _status(job_id: str, job: ET.Element) -> JobStatus:
    native = job.findtext("job_state", "")
    state = STATES.get(native, JobState.UNKNOWN)
    code = number = None
    if state is JobState.COMPLETED:
        state, code, number = _end(job.findtext("exit_status", ""))
    start = _number(job.findtext("start_time", ""))
    # "node1/0-3+node2/0": the first one runs the script.
    host = job.findtext("exec_host", "").partition("+")[0].partition("/")[0]
    return JobStatus(
        job_id=job_id,
        state=state,
        native=native,
        reason=" ".join(job.findtext("comment", "").split()) if state.is_waiting else "",
        host=host,
        queue=job.findtext("queue", ""),
        name=job.findtext("Job_Name", ""),
        start=start,
        end=_number(job.findtext("comp_time", "")) if state.is_final else _deadline(job, start),
        exit_code=code,
        signal=number,
    )


def _end(text: str) -> tuple[JobState, int | None, int | None]:
    """Return how a job ended: its state, exit status and signal."""
    if not re.fullmatch(r"-?\d+", text):
        # Deleted before it ran.
        return JobState.CANCELLED, None, None
    status = int(text)
    if status == _OVER_WALLTIME:
        return JobState.TIMEOUT, None, None
    if status > 256:
        # Killed by Torque itself, which qdel asks for.
        return JobState.CANCELLED, None, status - 256
    if status > 128:
        return JobState.FAILED, None, status - 128
    return (JobState.FAILED if status else JobState.COMPLETED), status, None


def _deadline(job: ET.Element, start: float | None) -> float | None:
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d)", job.findtext("Resource_List/walltime", ""))
    if start is None or not match:
        return None
    hours, minutes, seconds = map(int, match.groups())
    return start + 3600 * hours + 60 * minutes + seconds


def _number(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    found = [
        job.findtext("Job_Id", "")
        for job in _jobs(result)
        if job.findtext("Job_Name") == tag and job.findtext("job_state") != "C"
    ]
    if len(found) > 1:
        # Names can be chosen: another user may have taken one that was seen in the list.
        raise SchedulerError(f"more than one job is called {tag}: {', '.join(found)}", result)
    return found


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    return [
        TaggedJob(
            job.findtext("Job_Id", ""),
            job.findtext("Job_Owner", "").partition("@")[0],
            job.findtext("Job_Name", ""),
        )
        for job in _jobs(result)
    ]


def _parse_cancel(result: CommandResult) -> None:
    if not _ENDED.search(result.text):
        Torque.answered(result)
