"""PBS Pro and OpenPBS: qsub, qstat, qdel and qsig.

Manual: https://help.altair.com/2024.1.0/PBS%20Professional/PBSReferenceGuide2024.1.pdf
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...commands import Command
from ...errors import SchedulerError, SchedulerUnavailable
from ...jobs import JobInfo, JobState, TaggedJob
from ..base import Detection, LauncherRules
from ..pbs_family import SCRIPT_OPTIONS, PBSFamily, matching_ids
from . import queues, reasons
from .records import read_jobs

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ...queues import Queue
    from ..base import Listing

_PRINTED_ID = re.compile(r"[0-9]+(?:\[\])?\.[A-Za-z][A-Za-z0-9_.-]*")
_UNKNOWN_JOB = re.compile("unknown job id", re.IGNORECASE)
_ENDED = re.compile("unknown job id|job has finished", re.IGNORECASE)
_NOT_LISTED = re.compile("unknown job id|job has finished|unauthorized request", re.IGNORECASE)
_NO_HISTORY = re.compile("not configured to maintain job history", re.IGNORECASE)

_MOVED = "M"
_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?::[0-9]+)?")

# "Job States" in chapter 8 of the reference guide.
STATES = {
    "B": JobState.RUNNING,
    "E": JobState.COMPLETING,
    "F": JobState.COMPLETED,
    "H": JobState.HELD,
    # At another server, which this one does not ask.
    _MOVED: JobState.UNKNOWN,
    "Q": JobState.PENDING,
    "R": JobState.RUNNING,
    "S": JobState.SUSPENDED,
    "T": JobState.PENDING,
    "U": JobState.SUSPENDED,
    "W": JobState.PENDING,
    "X": JobState.COMPLETED,
}
_DELETED = 91
"""Substate of a job that somebody deleted."""
_OVER_WALLTIME = -29


@dataclass(frozen=True)
class PBSPro(PBSFamily):
    """Commands of PBS Pro. A job id is ``12.server``, ``12[].server`` an array."""

    name: ClassVar[str] = "pbspro"
    title: ClassVar[str] = "PBS"
    detection = Detection(
        "qsub",
        file="/etc/pbs.conf",
        file_variable="PBS_CONF_FILE",
        version="pbs_version",
        ambiguous=True,
    )
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("PBS_CONF_FILE", "PBS_SERVER", "PBS_EXEC")
    state_delay_s: ClassVar[float] = 0.0
    environment_readers: ClassVar[str] = "every user of the cluster, by qstat -f"
    index_variable: ClassVar[str] = "PBS_ARRAY_INDEX"
    cores_variable: ClassVar[str] = "NCPUS"
    launcher_rules = LauncherRules(
        show=("qstat", "-f", "{job_id}"),
        shown=r"(?m)^ *Job_Name = (\S+)$",
        log="{home}/.jupyterhub.pbs.err",
        directives=("#PBS",),
        options=SCRIPT_OPTIONS,
    )
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "cannot connect to server|couldn't connect|connection refused|unknown host"
        "|communication failure|timeout|end of file|could not connect to mom",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        tag = ("-N", request.tag) if request.tag else ()
        array = ("-J", f"1-{request.elements}") if request.elements > 1 else ()
        argv = ("qsub", *tag, *array, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        # Without ids: with them only the first one would be printed, and each costs a
        # reserved port of this machine.
        return [Command(("qstat", "-f", "-F", "json"), lambda result: _parse_query(result, wanted))]

    def query_each(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        return [self._query_one(self.checked(job_id)) for job_id in job_ids]

    def _query_one(self, job_id: str) -> Command[Listing]:
        def parse(result: CommandResult) -> dict[str, JobInfo]:
            if not result.ok and _NOT_LISTED.search(result.text):
                return {}
            return _parse_query(result, {job_id})

        return Command(("qstat", "-f", "-F", "json", job_id), parse, jobs=(job_id,))

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        return self._queries_of(job_id)

    def follow(self, status: JobInfo) -> Sequence[Command[JobInfo | None]] | None:
        if status.native != _MOVED:
            return None
        # "queue@server"
        server = status.queue.partition("@")[2]
        return self._queries_of(status.job_id, server) if _SERVER.fullmatch(server) else []

    def _queries_of(self, job_id: str, server: str = "") -> list[Command[JobInfo | None]]:
        """Query one job at its own server, or at another one to which it was moved."""
        place = f"@{server}" if server else ""
        # The first one does not tell where no history is kept, which is the default.
        return [
            Command(
                ("qstat", *history, "-f", "-F", "json", f"{self.checked(job_id)}{place}"),
                lambda result: _parse_one(result, job_id),
            )
            for history in (("-x",), ())
        ]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(("qstat", "-f", "-F", "json"), lambda result: _parse_find(result, tag))

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(("qstat", "-f", "-F", "json"), _parse_tagged)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        # Neither with -u nor with several ids does it print all of them as JSON.
        return Command(("qstat", "-f", "-F", "json"), lambda result: _parse_own_jobs(result, owner))

    def availability(self) -> Command[list[Queue]]:
        return Command(queues.QUEUES, queues.parse_queues)

    def cancel(self, job_id: str) -> Command[None]:
        return Command(("qdel", self.checked(job_id)), _parse_cancel)


def _parse_submit(result: CommandResult) -> str:
    PBSPro.accepted(result)
    return PBSPro.printed_id(result, _PRINTED_ID)


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    jobs = read_jobs(result)
    return {
        job_id: _status(job_id, jobs[listed])
        for job_id, listed in matching_ids(wanted, jobs).items()
    }


def _parse_one(result: CommandResult, job_id: str) -> JobInfo | None:
    if (not result.ok and _ENDED.search(result.text)) or _NO_HISTORY.search(result.stderr):
        return None
    jobs = read_jobs(result)
    if not jobs:
        # No output and no error: this is how jobs of others are hidden.
        raise SchedulerUnavailable(
            f"PBS does not show us job {job_id}: query_other_jobs of the server is False.", result
        )
    return _status(job_id, next(iter(jobs.values())))


def _status(job_id: str, job: dict[str, Any]) -> JobInfo:
    native = str(job.get("job_state", ""))
    state = STATES.get(native, JobState.UNKNOWN)
    comment = " ".join(str(job.get("comment", "")).split())
    code = number = None
    if state is JobState.COMPLETED:
        state, code, number = _end(job, comment)
    start = _seconds(job.get("stime"))
    return JobInfo(
        job_id=job_id,
        state=state,
        native=native,
        reason="" if state in (JobState.RUNNING, JobState.COMPLETED) else comment,
        host=_first_host(str(job.get("exec_host", ""))),
        queue=str(job.get("queue", "")),
        name=str(job.get("Job_Name", "")),
        start=start,
        expected_start=_expected(job) if state.is_waiting else None,
        end=_seconds(job.get("history_timestamp")) if state.is_final else _deadline(job, start),
        exit_code=code,
        signal=number,
    )


def _end(job: dict[str, Any], comment: str) -> tuple[JobState, int | None, int | None]:
    """Return how a job ended: its state, exit status and signal."""
    status = job.get("Exit_status")
    if status == _OVER_WALLTIME or "exceeded resource walltime" in comment:
        return JobState.TIMEOUT, None, None
    if re.search("exceeded resource v?mem", comment):
        return JobState.OUT_OF_MEMORY, None, None
    number = None
    if isinstance(status, int) and status > 128:
        # The shell reports 128 + n, PBS itself 256 + n.
        number, status = status - (256 if status > 256 else 128), None
    if job.get("substate") == _DELETED:
        return JobState.CANCELLED, status, number
    if status is None and number is None:
        # It never ran, for instance because of how a job ended that it depended on.
        return (JobState.COMPLETED if job.get("exec_host") else JobState.CANCELLED), None, None
    return (JobState.FAILED if status or number else JobState.COMPLETED), status, number


def _first_host(exec_host: str) -> str:
    """Return node1 of ``node1/6*4+node2/0*4``."""
    return exec_host.partition("+")[0].partition("/")[0]


def _deadline(job: dict[str, Any], start: float | None) -> float | None:
    resources = job.get("Resource_List")
    walltime = resources.get("walltime") if isinstance(resources, dict) else None
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d)", str(walltime))
    if start is None or not match:
        return None
    hours, minutes, seconds = map(int, match.groups())
    return start + 3600 * hours + 60 * minutes + seconds


def _expected(job: dict[str, Any]) -> float | None:
    estimated = job.get("estimated")
    return _seconds(estimated.get("start_time")) if isinstance(estimated, dict) else None


def _seconds(moment: object) -> float | None:
    """Read seconds since the epoch, or a local time as PBS prints it."""
    if isinstance(moment, (int, float)):
        return float(moment)
    try:
        return time.mktime(time.strptime(str(moment), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    return [
        TaggedJob(job_id, _owner(job), str(job.get("Job_Name", "")))
        for job_id, job in read_jobs(result).items()
    ]


def _parse_own_jobs(result: CommandResult, owner: str) -> list[JobInfo]:
    return [
        _status(job_id, job) for job_id, job in read_jobs(result).items() if _owner(job) == owner
    ]


def _owner(job: dict[str, Any]) -> str:
    return str(job.get("Job_Owner", "")).partition("@")[0]


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    found = [job_id for job_id, job in read_jobs(result).items() if job.get("Job_Name") == tag]
    if len(found) > 1:
        # Names can be chosen: another user may have copied one from the list.
        raise SchedulerError(f"more than one job is called {tag}: {', '.join(found)}", result)
    return found


def _parse_cancel(result: CommandResult) -> None:
    if not _ENDED.search(result.text):
        PBSPro.answered(result)
