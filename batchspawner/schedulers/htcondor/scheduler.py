"""HTCondor: condor_submit, condor_q, condor_rm, and condor_history for how a job has ended.

Manual: https://htcondor.readthedocs.io/en/latest/man-pages/index.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...commands import Command
from ...errors import ParseError, SchedulerUnavailable
from ...jobs import JobInfo, JobState, TaggedJob
from ..base import Carrier, Detection, LauncherRules, Scheduler
from ..broken_records import load_json, read_each, status_or_unreadable, valid_records
from . import queues, reasons

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ...queues import Queue
    from ..base import Listing

_TAG = "BatchspawnerTag"
_LISTED = (
    "ClusterId,ProcId,JobStatus,RemoteHost,LastRemoteHost,HoldReason,HoldReasonCode,"
    "JobCurrentStartDate,JobBatchName"
)
_ENDED = (
    f"{_LISTED},LastHoldReasonCode,ExitCode,ExitBySignal,ExitSignal,RemoveReason,CompletionDate,"
    "EnteredCurrentStatus"
)
_AD = re.compile(r"^(?=\{$)", re.MULTILINE)
_AD_NUMBERS = re.compile(r'^  "(ClusterId|ProcId)": (\d+),?$', re.MULTILINE)
_NO_SUCH_JOB = re.compile("couldn't find|no jobs in the queue|not found", re.IGNORECASE)

# JobStatus in
# https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html
STATES = {
    0: JobState.PENDING,
    1: JobState.PENDING,
    2: JobState.RUNNING,
    3: JobState.CANCELLED,
    4: JobState.COMPLETED,
    5: JobState.HELD,
    6: JobState.COMPLETING,
    7: JobState.SUSPENDED,
}
# HoldReasonCode, on the same page: these jobs do not wait, they have used up time or memory.
_USED_UP = {34: JobState.OUT_OF_MEMORY, 46: JobState.TIMEOUT, 47: JobState.TIMEOUT}
_NATIVE = (
    "unexpanded",
    "idle",
    "running",
    "removed",
    "completed",
    "held",
    "transferring output",
    "suspended",
)


# https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html
_ANY_CASE = re.IGNORECASE | re.MULTILINE
_SHARED = re.compile(r"^\s*should_?transfer_?files\s*=\s*(no|false)\b", _ANY_CASE)
_TRANSFERRED = re.compile(r"^\s*transfer_?input_?files\s*=.*\S", _ANY_CASE)
_QUEUE = re.compile(r"^\s*queue\b", _ANY_CASE)
# Neither a comment nor an assignment nor a plain queue statement.
_UNKNOWN_LINE = (
    r"(?im)^(?![ \t\r]*(?:#.*|(?!queue\b)[+\w.]+[ \t]*=.*|queue(?:[ \t]+\d+)?[ \t\r]*)?$).+$"
)
_QUEUE_LINE = re.compile(r"^\s*queue\b.*$", _ANY_CASE)


@dataclass(frozen=True)
class HTCondor(Scheduler):
    """Commands of HTCondor. A job id is a cluster, ``12``, or one of its jobs, ``12.0``.

    The script of a request is a submit description.
    """

    name: ClassVar[str] = "htcondor"
    title: ClassVar[str] = "HTCondor"
    detection = Detection("condor_submit")
    numbers_lone_jobs: ClassVar[bool] = True
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("CONDOR_*", "_CONDOR_*")
    carrier: ClassVar[Carrier] = Carrier.FILE
    # Behind a line break a value is cut, or the variable is left out.
    carried_values: ClassVar[re.Pattern[str]] = re.compile(r"[^\0\n]*")
    state_delay_s: ClassVar[float] = 0.0
    environment_readers: ClassVar[str] = "whoever reaches the pool, by condor_q -l"
    arrays: ClassVar[bool] = True
    # MAX_JOBS_PER_SUBMISSION and others:
    # https://htcondor.readthedocs.io/en/latest/admin-manual/configuration-macros.html
    array_refused: ClassVar[re.Pattern[str]] = re.compile("max_jobs", re.IGNORECASE)
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+(?:\.[0-9]+)?")
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "can't find address|failed to connect|failed to fetch ads|can't connect|unable to connect"
        "|communication error|timed out|error: failed to end",
        re.IGNORECASE,
    )
    job_variables: ClassVar[re.Pattern[str]] = re.compile(
        "_?CONDOR_(?:SCRATCH|SLOT|JOB|CHIRP|WRAPPER).*"
    )
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:Output|Error) = (?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile(r"\$\(Cluster(?:Id)?\)")
    log_is_replaced: ClassVar[bool] = True
    launcher_rules = LauncherRules(
        show=("condor_q", "{job_id}", "-af", _TAG),
        log="{home}/.jupyterhub.condor.err",
        # https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html: the output of a
        # command as a part of the description, or as its list of jobs, and universes whose jobs
        # run beside the queue. Macros and continued lines can hide each of them.
        refused=(
            r"\\\s*\n",
            _UNKNOWN_LINE,
            r"(?im)^\s*@?include\b",
            r"(?im)^\s*universe\s*=(?!\s*(?:vanilla|container|docker|parallel)\s*$)",
            r"(?i)jobuniverse",
        ),
    )

    @classmethod
    def identity(cls) -> dict[str, str]:
        # The file in which HTCondor describes a job to itself:
        # https://htcondor.readthedocs.io/en/latest/users-manual/env-of-job.html
        return {
            "file": "_CONDOR_JOB_AD",
            "job_id": "ClusterId",
            "index": "ProcId",
            "cores": "RequestCpus",
            "memory_mib": "RequestMemory",
        }

    def option(self, name: str, value: object) -> str:
        return f"{name} = {value}"

    def bringing(self, script: str, path: str) -> str:
        """Return a description that transfers the file, unless it says that no files are."""
        if _SHARED.search(script):
            return script
        listed, times = _TRANSFERRED.subn(lambda match: f"{match[0].rstrip()}, {path}", script)
        if times:
            return listed
        return _QUEUE.sub(lambda match: f"transfer_input_files = {path}\n{match[0]}", script)

    def submit(self, request: JobRequest) -> Command[str]:
        # A tag needs no escapes in a ClassAd string.
        tag = ("-a", f'My.{_TAG}="{request.tag}"') if request.tag else ()
        argv = ("condor_submit", "-terse", *tag, *request.arguments)
        script = request.script
        if request.elements > 1:
            script = _QUEUE_LINE.sub(f"Queue {request.elements}", script)
        return Command(argv, _parse_submit, script, request.environment, timeout=60)

    def element(self, job_id: str, index: str) -> str:
        return f"{job_id}.{index}"

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        return [self._query(job_ids)]

    def query_each(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        return [self._query(job_ids, *job_ids)]

    def query_owner(self, owner: str, job_ids: Collection[str]) -> Command[Listing]:
        return self._query(job_ids, *_owned_by(owner))

    def _query(self, job_ids: Collection[str], *selection: str) -> Command[Listing]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        argv = ("condor_q", "-allusers", "-json", "-attributes", _LISTED, *selection)
        return Command(argv, lambda result: _parse_query(result, wanted), jobs=tuple(job_ids))

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        self.checked(job_id)
        argv = ("condor_history", job_id, "-json", "-limit", "1", "-attributes", _ENDED)
        return [Command(argv, lambda result: _parse_history(result, job_id))]

    def find(self, tag: str) -> Command[list[str]]:
        constraint = f'{_TAG} == "{tag}"'
        argv = ("condor_q", "-json", "-attributes", "ClusterId", "-constraint", constraint)
        return Command(argv, _parse_find)

    def tagged(self) -> Command[list[TaggedJob]]:
        argv = ("condor_q", "-allusers", "-json", "-attributes", f"ClusterId,Owner,{_TAG}")
        return Command((*argv, "-constraint", f"{_TAG} =!= undefined"), _parse_tagged)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        attributes = f"{_LISTED},Cmd"
        argv = ("condor_q", "-allusers", "-json", "-attributes", attributes, *_owned_by(owner))
        return Command(argv, _parse_own_jobs)

    def availability(self) -> Command[list[Queue]]:
        return Command(queues.SLOTS, queues.parse_slots)

    def embedded(self, command: str) -> str:
        # Within the quotes of a submit description, quotes are written twice.
        return command.replace('"', '""').replace("'", "''")

    def cancel(self, job_id: str) -> Command[None]:
        return Command(("condor_rm", self.checked(job_id)), _parse_cancel)


def _parse_submit(result: CommandResult) -> str:
    HTCondor.accepted(result)
    # "19.0 - 19.4"
    match = re.search(r"^([0-9]+)\.[0-9]+ - [0-9]+\.[0-9]+$", result.stdout, re.MULTILINE)
    if not match:
        raise ParseError("condor_submit -terse printed no job id.", result)
    return match[1]


def _ads(result: CommandResult) -> list[dict[str, Any]]:
    """Return the job ads in an answer. No jobs at all is exit status 0 and an empty output."""
    if not result.ok:
        raise SchedulerUnavailable(f"{result.argv[0]} failed.", result)
    if not result.stdout.strip():
        return []
    command = result.argv[0]
    ads = load_json(command, "printed no job ads:", result)
    return read_each(command, "printed no job ads:", result, ads, _with_number)


def _listed_ads(result: CommandResult) -> list[dict[str, Any]]:
    """Return the job ads in a listing; one that cannot be read has the job's number only."""
    try:
        return _ads(result)
    except ParseError:
        found: dict[tuple[int, object], dict[str, Any]] = {}
        for text, record in valid_records(result.stdout, _AD):
            ad = record if isinstance(record, dict) and "ClusterId" in record else _numbers(text)
            if ad:
                key = int(ad["ClusterId"]), ad.get("ProcId", 0)
                # Within a record that is not valid, its owner can have written another's number.
                found[key] = ad if key not in found else _only_numbers(ad)
        if not found:
            raise
        return [_with_number(ad) for ad in found.values()]


def _numbers(text: str) -> dict[str, Any]:
    return {name: int(number) for name, number in _AD_NUMBERS.findall(text)}


def _only_numbers(ad: dict[str, Any]) -> dict[str, Any]:
    return {name: ad[name] for name in ("ClusterId", "ProcId") if name in ad}


def _with_number(ad: dict[str, Any]) -> dict[str, Any]:
    return {**ad, "ClusterId": int(ad["ClusterId"])}


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    found: dict[str, JobInfo] = {}
    for ad in _listed_ads(result):
        for job_id in (str(ad["ClusterId"]), f"{ad['ClusterId']}.{ad.get('ProcId', 0)}"):
            # A cluster lives as long as one of its jobs.
            if job_id in wanted and (job_id not in found or found[job_id].is_final):
                found[job_id] = status_or_unreadable(job_id, ad, _status)
    return found


def _status(job_id: str, ad: dict[str, Any]) -> JobInfo:
    number = ad.get("JobStatus")
    state = STATES.get(number, JobState.UNKNOWN) if isinstance(number, int) else JobState.UNKNOWN
    if state in (JobState.HELD, JobState.CANCELLED):
        state = _USED_UP.get(ad.get("HoldReasonCode") or ad.get("LastHoldReasonCode", 0), state)
    native = _NATIVE[number] if isinstance(number, int) and number in STATES else str(number)
    host = ad.get("RemoteHost") or (ad.get("LastRemoteHost") if state.is_final else "") or ""
    start = None if state.is_waiting else ad.get("JobCurrentStartDate")
    return JobInfo(
        job_id=job_id,
        state=state,
        native=native,
        reason=_one_line(ad.get("HoldReason")) if number == 5 else "",
        # "slot1_1@node7.example.org"
        host=str(host).rpartition("@")[2],
        name=_one_line(ad.get("JobBatchName")),
        start=float(start) if start else None,
    )


def _owned_by(owner: str) -> tuple[str, str]:
    name = owner.replace("\\", "\\\\").replace('"', '\\"')
    return "-constraint", f'Owner == "{name}"'


def _parse_own_jobs(result: CommandResult) -> list[JobInfo]:
    ads = _listed_ads(result)
    found = [status_or_unreadable(str(ad["ClusterId"]), ad, _status) for ad in ads]
    # A job has a name only if its description gives it one.
    programs = {str(ad["ClusterId"]): _one_line(ad.get("Cmd")) for ad in ads}
    return [
        replace(one, name=one.name or programs[one.job_id].rpartition("/")[2])
        for one in found
        if not one.is_final
    ]


def _parse_history(result: CommandResult, job_id: str) -> JobInfo | None:
    ads = _ads(result)
    if not ads:
        return None
    ad, status = ads[0], _status(job_id, ads[0])
    end = ad.get("CompletionDate") or ad.get("EnteredCurrentStatus")
    by_signal = bool(ad.get("ExitBySignal"))
    code = None if by_signal else ad.get("ExitCode")
    number = ad.get("ExitSignal") if by_signal else None
    failed = status.state is JobState.COMPLETED and bool(code or number)
    return JobInfo(
        job_id=job_id,
        state=JobState.FAILED if failed else status.state,
        native=status.native,
        reason=_one_line(ad.get("RemoveReason")),
        host=status.host,
        name=status.name,
        start=status.start,
        end=float(end) if end else None,
        exit_code=code if isinstance(code, int) else None,
        signal=number if isinstance(number, int) else None,
    )


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    found = [
        TaggedJob(str(ad["ClusterId"]), str(ad.get("Owner", "")), str(ad.get(_TAG, "")))
        for ad in _listed_ads(result)
    ]
    return list(dict.fromkeys(found))


def _parse_find(result: CommandResult) -> list[str]:
    return list(dict.fromkeys(str(ad["ClusterId"]) for ad in _listed_ads(result)))


def _parse_cancel(result: CommandResult) -> None:
    if not _NO_SUCH_JOB.search(result.text):
        HTCondor.answered(result)


def _one_line(text: object) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""
