"""Moab, in front of Torque or another resource manager: msub, mdiag, checkjob, mjobctl.

Manual: http://www.adaptivecomputing.com/resources/docs/mwm/commands/mjobctl.html (its XML, too)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...commands import Command
from ...errors import SchedulerError, SchedulerUnavailable
from ...jobs import JobInfo, JobState, TaggedJob
from ..base import Detection, LauncherRules
from ..pbs_family import SCRIPT_OPTIONS, PBSScripts, matching_ids
from ..torque.scheduler import Ending, Torque, ending_of
from ..xml_output import read_xml
from . import reasons

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ..base import Listing

_ENDED = re.compile(
    "invalid job specified|cannot locate job|(?:is|already) (?:completed|cancell?ed)", re.IGNORECASE
)
_PRINTED_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\.[0-9]+|[0-9]+")
_UNKNOWN_JOB = re.compile("invalid job specified|cannot locate job", re.IGNORECASE)
_MANAGERS_IDS = ("rmjid", "drmjid", "srmjid")
_NOT_OURS = re.compile("not authorized|unauthorized|permission denied", re.IGNORECASE)

# http://www.adaptivecomputing.com/resources/docs/mwm/3.2environment.html#jobstates
STATES = {
    "batchhold": JobState.HELD,
    "blocked": JobState.HELD,
    "canceling": JobState.COMPLETING,
    "completed": JobState.COMPLETED,
    "deferred": JobState.HELD,
    "hold": JobState.HELD,
    "idle": JobState.PENDING,
    "migrated": JobState.PENDING,
    # The resource manager does not answer Moab.
    "notqueued": JobState.UNKNOWN,
    # By somebody, or by Moab if the job violated a policy.
    "removed": JobState.CANCELLED,
    "running": JobState.RUNNING,
    "staged": JobState.PENDING,
    "staging": JobState.PENDING,
    "starting": JobState.PENDING,
    "suspended": JobState.SUSPENDED,
    "systemhold": JobState.HELD,
    "userhold": JobState.HELD,
    # Ended by a failure of the system.
    "vacated": JobState.NODE_FAIL,
}

# A numeric CompletionCode is Torque's exit status. Moab removes jobs for reasons of its own, so
# that only Torque's own reasons count there.
# http://kb.adaptivecomputing.com/phpmyfaq/index.php?action=artikel&cat=1&id=90
_TORQUES_CODES = {JobState.COMPLETED: r"-?\d+", JobState.CANCELLED: r"-\d+"}


@dataclass(frozen=True)
class Moab(PBSScripts):
    """Commands of Moab. A job id is ``12``, or ``Moab.12`` before it has a queue.

    There is no form of an array: mjobctl takes ``12[3]`` for an expression that means 123, too.
    """

    name: ClassVar[str] = "moab"
    title: ClassVar[str] = "Moab"
    detection = Detection("msub")
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("MOABHOMEDIR", "PBS_SERVER", "PBS_DEFAULT")
    environment_readers: ClassVar[str] = Torque.environment_readers
    finds_all: ClassVar[bool] = True
    own_jobs_interval_s: ClassVar[float] = 60.0
    state_delay_s: ClassVar[float] = 90.0
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(?:[A-Za-z][A-Za-z0-9_-]*\.)?[0-9]+(?:\.[A-Za-z0-9_.-]+)?"
    )
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "cannot connect|unable to connect|connection refused|communication error|timeout"
        "|timed out|lost connection|cannot read",
        re.IGNORECASE,
    )
    directives: ClassVar[tuple[str, ...]] = ("#MSUB", "#PBS")
    job_variables: ClassVar[re.Pattern[str]] = re.compile("(?:MOAB|PBS)_.*")
    launcher_rules = LauncherRules(
        show=("checkjob", "--xml", "{job_id}"),
        shown=r'(?i)\bjobname="([^"]*)"',
        directives=("#PBS", "#MSUB"),
        options=(*SCRIPT_OPTIONS, "-d*", "-w*"),
        # A trigger runs a command on the host of Moab. Quotes can stand between its letters.
        refused=("(?im)^\\s*#(?:PBS|MSUB).*{}".format("[\"'\\\\]*".join("trig")),),
    )

    def submit(self, request: JobRequest) -> Command[str]:
        tag = ("-N", request.tag) if request.tag else ()
        argv = ("msub", *tag, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        return [Command(("mdiag", "-j", "--xml"), lambda result: _parse_query(result, wanted))]

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        # It knows the jobs that ended lately, too, for JOBCPURGETIME.
        argv = ("checkjob", "--xml", self.checked(job_id))
        return [Command(argv, lambda result: _parse_one(result, job_id))]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(("mdiag", "-j", "--xml"), lambda result: _parse_find(result, tag))

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(("mdiag", "-j", "--xml"), _parse_tagged)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        return Command(("mdiag", "-j", "--xml"), lambda result: _parse_own_jobs(result, owner))

    def cancel(self, job_id: str) -> Command[None]:
        return Command(("mjobctl", "-c", self.checked(job_id)), _parse_cancel)

    def signal(self, job_id: str, number: int) -> Command[None]:
        return Command(("mjobctl", "-N", str(number), self.checked(job_id)), self.answered)


def _parse_submit(result: CommandResult) -> str:
    Moab.accepted(result)
    return Moab.printed_id(result, _PRINTED_ID)


def _jobs(command: str, result: CommandResult) -> list[dict[str, str]]:
    """Return the attributes of each job, by lower-case names: releases write them differently."""
    if not result.ok:
        raise SchedulerUnavailable(f"{command} failed.", result)
    jobs = []
    for job in read_xml(command, result).iter("job"):
        # The nodes are those of the job's first requirement, in some releases the job's own.
        requirement = job.find("req")
        parts = (job,) if requirement is None else (requirement, job)
        jobs.append({name.lower(): text for part in parts for name, text in part.attrib.items()})
    return jobs


def _listed(jobs: list[dict[str, str]], wanted: Collection[str]) -> dict[str, JobInfo]:
    """Return the jobs by the ids wanted: a job gets another when a resource manager takes it.

    Moab's own ids take precedence over those of resource managers; there can be several.
    """
    known: dict[str, dict[str, str]] = {}
    for name in ("jobid", "gjid", *_MANAGERS_IDS):
        for job in jobs:
            if job.get(name):
                known.setdefault(job[name], job)
    # One id of each job, or a server's short name and its long one would be two jobs.
    of_managers = {next(filter(None, map(job.get, _MANAGERS_IDS)), ""): job for job in jobs}
    others = matching_ids((job_id for job_id in wanted if job_id not in known), of_managers)
    found = {job_id: of_managers[listed] for job_id, listed in others.items()}
    found.update((job_id, known[job_id]) for job_id in wanted if job_id in known)
    return {job_id: _status(job_id, job) for job_id, job in found.items()}


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    return _listed(_jobs("mdiag", result), wanted)


def _parse_one(result: CommandResult, job_id: str) -> JobInfo | None:
    if not result.ok and (_UNKNOWN_JOB.search(result.text) or _NOT_OURS.search(result.text)):
        # Only administrators and owners may ask; the monitor asks again as the owner.
        return None
    if result.ok and not result.stdout.strip():
        return None
    return _listed(_jobs("checkjob", result), [job_id]).get(job_id)


def _status(job_id: str, job: dict[str, str]) -> JobInfo:
    native = job.get("state", "")
    ending = _ending(job, STATES.get(native.lower(), JobState.UNKNOWN))
    start = _seconds(job.get("starttime", ""))
    limit = _seconds(job.get("reqawduration", ""))
    over = start + limit if start and limit else None
    return JobInfo(
        job_id=job_id,
        state=ending.state,
        native=native,
        reason=ending.reason,
        # "node1:4,node2:4"
        host=re.split("[:,]", job.get("allocnodelist") or job.get("masterhost", ""))[0],
        queue=job.get("class", ""),
        name=job.get("jobname", ""),
        start=None if ending.state.is_waiting else start,
        end=_seconds(job.get("completiontime", "")) if ending.state.is_final else over,
        exit_code=ending.exit_code,
        signal=ending.signal,
    )


def _ending(job: dict[str, str], state: JobState) -> Ending:
    hold = job.get("hold", "")
    if state.is_waiting:
        reason = job.get("blockreason") or (f"{hold} hold" if hold else "")
        return Ending(JobState.HELD if hold else state, " ".join(reason.split()))
    code = job.get("completioncode", "")
    if re.fullmatch(_TORQUES_CODES.get(state, "(?!)"), code):
        return ending_of(code)
    # Or a word, such as CNCLD.
    return Ending(JobState.CANCELLED if code and state is JobState.COMPLETED else state)


def _seconds(text: str) -> float | None:
    """Parse seconds, or ``[[D:]HH:]MM:SS``; 0 means that there is no time."""
    if not re.fullmatch(r"\d+(?::\d+){0,3}", text):
        return None
    total = 0
    for part, size in zip(reversed(text.split(":")), (1, 60, 3600, 86400)):
        total += int(part) * size
    return float(total) or None


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    found = [
        job.get("jobid", "")
        for job in _jobs("mdiag", result)
        if job.get("jobname") == tag and not _has_ended(job)
    ]
    if len(found) > 1:
        # Names can be chosen: another user may have copied one from the list.
        raise SchedulerError(f"more than one job is called {tag}: {', '.join(found)}", result)
    return found


def _has_ended(job: dict[str, str]) -> bool:
    return STATES.get(job.get("state", "").lower(), JobState.UNKNOWN).is_final


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    return [
        TaggedJob(job.get("jobid", ""), job.get("user", ""), job.get("jobname", ""))
        for job in _jobs("mdiag", result)
        if not _has_ended(job)
    ]


def _parse_own_jobs(result: CommandResult, owner: str) -> list[JobInfo]:
    return [
        _status(job.get("jobid", ""), job)
        for job in _jobs("mdiag", result)
        if job.get("user") == owner and not _has_ended(job)
    ]


def _parse_cancel(result: CommandResult) -> None:
    if not _ENDED.search(result.text):
        Moab.answered(result)
