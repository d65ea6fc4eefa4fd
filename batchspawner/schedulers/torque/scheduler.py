"""Torque: qsub, qstat, qdel and qsig.

Manual: https://github.com/adaptivecomputing/torque/tree/master/doc/man
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ...commands import Command
from ...errors import SchedulerError, SchedulerUnavailable
from ...jobs import JobInfo, JobState, TaggedJob
from ..base import Detection, LauncherRules
from ..pbs_family import SCRIPT_OPTIONS, PBSFamily, matching_ids
from ..pbspro import reasons
from ..xml_output import read_xml
from . import queues

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Collection, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ...queues import Queue
    from ..base import Listing

_PRINTED_ID = re.compile(r"[0-9]+(?:\[\])?\.[A-Za-z][A-Za-z0-9_.-]*")
_UNKNOWN_JOB = re.compile("unknown job id", re.IGNORECASE)
_ENDED = re.compile("unknown job id|nonexistent job id|invalid state for job", re.IGNORECASE)
# Not to us: listings leave such jobs out silently.
_NOT_LISTED = re.compile("unknown job id|unauthorized request", re.IGNORECASE)
_TRY_LATER = re.compile("maximum number of jobs", re.IGNORECASE)

# "job_state" in https://github.com/adaptivecomputing/torque/blob/master/doc/man1/qstat.1.in
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
# Torque's values in place of a job's own exit status, "Torque supplied exit codes" in
# https://docs.adaptivecomputing.com/torque/3-0-5/2.7jobexitstatus.php and, from -13 on, in
# http://kb.adaptivecomputing.com/phpmyfaq/index.php?action=artikel&cat=1&id=212
_OWN_ENDS = {
    -1: (JobState.FAILED, "its node could not start it"),
    -2: (JobState.FAILED, "its node could not start it"),
    -3: (JobState.FAILED, "its node could not start it, and may try again"),
    -4: (JobState.NODE_FAIL, "Torque was restarted on its node"),
    -5: (JobState.NODE_FAIL, "Torque was restarted on its node"),
    -6: (JobState.NODE_FAIL, "Torque was restarted on its node"),
    -7: (JobState.FAILED, "its node could not restart it"),
    -8: (JobState.FAILED, "its shell could not be run on its node"),
    -9: (JobState.FAILED, "its output files could not be created on its node"),
    -10: (JobState.OUT_OF_MEMORY, ""),
    -11: (JobState.TIMEOUT, ""),
    -12: (JobState.TIMEOUT, "its processor time was used up"),
    -13: (JobState.FAILED, "its cgroups could not be created on its node"),
    -14: (JobState.FAILED, "the prologue of its node failed"),
}


class Ending(NamedTuple):
    """State, exit status and signal with which a job ended."""

    state: JobState
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True)
class Torque(PBSFamily):
    """Commands of Torque. A job id is ``12.server``, ``12[].server`` an array.

    A server lists all jobs to its operators and managers, and to everybody with
    `query_other_jobs`. From all others it hides them: listings leave them out silently, and a
    query of one job fails with "Unauthorized Request". So the query is shared, and the monitor
    asks again, as the owner, about a job that is missing.
    """

    name: ClassVar[str] = "torque"
    title: ClassVar[str] = "Torque"
    detection = Detection("qsub", ambiguous=True)
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("PBS_SERVER", "PBS_DEFAULT")
    state_delay_s: ClassVar[float] = 0.0
    environment_readers: ClassVar[str] = "every user of the job's node, in the files of pbs_mom"
    index_variable: ClassVar[str] = "PBS_ARRAYID"
    cores_variable: ClassVar[str] = "PBS_NUM_PPN"
    launcher_rules = LauncherRules(
        show=("qstat", "-f", "{job_id}"),
        shown=r"(?m)^ *Job_Name = (\S+)$",
        log="{home}/.jupyterhub.torque.err",
        directives=("#PBS",),
        options=(*SCRIPT_OPTIONS, "-d*", "-w*"),
    )
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "unable to communicate|cannot connect|connection refused|timeout|timed out|end of file"
        "|premature end of message|could not connect to mom",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        tag = ("-N", request.tag) if request.tag else ()
        array = ("-t", f"1-{request.elements}") if request.elements > 1 else ()
        argv = ("qsub", *tag, *array, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        # Without ids: with several of them it prints one document for each.
        return [Command(("qstat", "-x"), lambda result: _parse_query(result, wanted))]

    def query_each(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        return [self._query_one(self.checked(job_id)) for job_id in job_ids]

    def _query_one(self, job_id: str) -> Command[Listing]:
        def parse(result: CommandResult) -> dict[str, JobInfo]:
            if not result.ok and _NOT_LISTED.search(result.text):
                return {}
            return _parse_query(result, {job_id})

        return Command(("qstat", "-x", job_id), parse, jobs=(job_id,))

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        argv = ("qstat", "-x", self.checked(job_id))
        return [Command(argv, lambda result: _parse_one(result, job_id))]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(("qstat", "-x"), lambda result: _parse_find(result, tag))

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(("qstat", "-x"), _parse_tagged)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        return Command(("qstat", "-x"), lambda result: _parse_own_jobs(result, owner))

    def availability(self) -> Command[list[Queue]]:
        return Command(queues.QUEUES, queues.parse_queues)

    def cancel(self, job_id: str) -> Command[None]:
        return Command(("qdel", self.checked(job_id)), _parse_cancel)


def _parse_submit(result: CommandResult) -> str:
    Torque.accepted(result, transient=bool(_TRY_LATER.search(result.text)))
    return Torque.printed_id(result, _PRINTED_ID)


def _jobs(result: CommandResult) -> list[ET.Element]:
    if not result.ok:
        raise SchedulerUnavailable("qstat failed.", result)
    return read_xml("qstat", result).findall("Job") if result.stdout.strip() else []


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    jobs = {job.findtext("Job_Id", ""): job for job in _jobs(result)}
    return {
        job_id: _status(job_id, jobs[listed])
        for job_id, listed in matching_ids(wanted, jobs).items()
    }


def _parse_one(result: CommandResult, job_id: str) -> JobInfo | None:
    if not result.ok and _UNKNOWN_JOB.search(result.text):
        return None
    # Asked for an array, qstat prints all jobs.
    return _parse_query(result, {job_id}).get(job_id)


def _status(job_id: str, job: ET.Element) -> JobInfo:
    native = job.findtext("job_state", "")
    state = STATES.get(native, JobState.UNKNOWN)
    ending = Ending(state, _comment(job) if state.is_waiting else "")
    if state is JobState.COMPLETED:
        ending = ending_of(job.findtext("exit_status", ""))
    start = _seconds(job.findtext("start_time", ""))
    # "node1/0-3+node2/0": the first one runs the script.
    host = job.findtext("exec_host", "").partition("+")[0].partition("/")[0]
    return JobInfo(
        job_id=job_id,
        state=ending.state,
        native=native,
        reason=ending.reason,
        host=host,
        queue=job.findtext("queue", ""),
        name=job.findtext("Job_Name", ""),
        start=start,
        end=_seconds(job.findtext("comp_time", "")) if state.is_final else _deadline(job, start),
        exit_code=ending.exit_code,
        signal=ending.signal,
    )


def _comment(job: ET.Element) -> str:
    return " ".join(job.findtext("comment", "").split())


def ending_of(exit_status: str) -> Ending:
    """Interpret an exit status: the job's, 256 + n for a signal, below 0 for Torque's reasons."""
    if not re.fullmatch(r"-?\d+", exit_status):
        # Deleted before it ran.
        return Ending(JobState.CANCELLED)
    status = int(exit_status)
    if status < 0:
        unknown = JobState.FAILED, f"Torque ended it, for its reason {status}"
        return Ending(*_OWN_ENDS.get(status, unknown))
    if status > 128:
        number = status - (256 if status > 256 else 128)
        # qdel sends this one; any other can come from the user or from the node.
        deleted = status > 256 and number == signal.SIGTERM
        return Ending(JobState.CANCELLED if deleted else JobState.FAILED, signal=number)
    return Ending(JobState.FAILED if status else JobState.COMPLETED, exit_code=status)


def _deadline(job: ET.Element, start: float | None) -> float | None:
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d)", job.findtext("Resource_List/walltime", ""))
    if start is None or not match:
        return None
    hours, minutes, seconds = map(int, match.groups())
    return start + 3600 * hours + 60 * minutes + seconds


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    found = [
        job.findtext("Job_Id", "")
        for job in _jobs(result)
        if job.findtext("Job_Name") == tag and job.findtext("job_state") != "C"
    ]
    if len(found) > 1:
        # Names can be chosen: another user may have copied one from the list.
        raise SchedulerError(f"more than one job is called {tag}: {', '.join(found)}", result)
    return found


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    return [
        TaggedJob(
            job.findtext("Job_Id", ""),
            _owner(job),
            job.findtext("Job_Name", ""),
        )
        for job in _jobs(result)
        if job.findtext("job_state") != "C"
    ]


def _parse_own_jobs(result: CommandResult, owner: str) -> list[JobInfo]:
    return [
        _status(job.findtext("Job_Id", ""), job)
        for job in _jobs(result)
        if _owner(job) == owner and job.findtext("job_state") != "C"
    ]


def _owner(job: ET.Element) -> str:
    return job.findtext("Job_Owner", "").partition("@")[0]


def _parse_cancel(result: CommandResult) -> None:
    if not _ENDED.search(result.text):
        Torque.answered(result)
