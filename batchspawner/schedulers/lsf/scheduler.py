"""LSF, IBM's and the open ones whose commands are LSF's older form: bsub, bjobs, bkill.

Manual: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...commands import Command
from ...errors import ParseError, SchedulerUnavailable
from ...jobs import TaggedJob
from ..base import Detection, LauncherRules, Scheduler
from ..option_lines import resource_option
from . import queues, reasons
from .states import status_of_lines, status_of_record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ...commands import CommandResult
    from ...jobs import JobInfo, JobRequest
    from ...queues import Queue
    from ..base import Listing

# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=options-o
_FIELDS = (
    "jobid jobindex stat user queue exec_host job_name pend_reason exit_code exit_reason "
    "start_time finish_time"
)
# LSF before 10.1, and the open ones, know no -json. These texts are constant; ids and names are
# arguments.
_LIST = 'bjobs -u all -o "$1" -json 2>/dev/null || exec bjobs -u all -w'
_LIST_OWN = _LIST.replace("-u all", '-u "$2"')
_ONE = 'bjobs -a -o "$1" -json "$2" 2>/dev/null || exec bjobs -l "$2"'
# Without it a command waits forever for a daemon that is down.
_ONE_TRY = {"LSB_NTRIES": "1"}

_NO_JOBS = re.compile("no unfinished job found|no matching job found", re.IGNORECASE)
_UNKNOWN_JOB = re.compile("is not found|no matching job found", re.IGNORECASE)
# "In progress" is what bkill says of an array whose elements run, and while sbatchd is away: LSF
# has noted the request.
_CANCELLED = re.compile(
    "already finished|is not found|no matching job found|operation is in progress", re.IGNORECASE
)
# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=scheduling-dependency-conditions
_CONDITIONS = {"after": "started", "afterany": "ended", "afterok": "done", "afternotok": "exit"}
_LINE = re.compile(r"(\d+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(.*?)\s+\w{3} +\d+ \d+:\d+\s*")


_SCRIPT_OPTIONS = """
-B -G -J -Lp -M -N -P -R -U -W -We -app -b -c -cwd -e -eo -gpu -m -n -o -oo -q -r -rn -sla -sp -t
-u -w -wa -wt -x
"""
"""Options of scripts that read no file and run nothing on the login host."""


@dataclass(frozen=True)
class LSF(Scheduler):
    """Commands of LSF. A job id is ``12``, or ``12[3]`` for an element of an array."""

    name: ClassVar[str] = "lsf"
    title: ClassVar[str] = "LSF"
    detection = Detection("bsub")
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("LSF_*", "LSB_*")
    environment_readers: ClassVar[str] = "administrators of LSF"
    directives: ClassVar[tuple[str, ...]] = ("#BSUB",)
    # [hours:]minutes: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=options-w
    bare_runtime_s: ClassVar[int] = 60
    paired_runtime_s: ClassVar[int] = 3600
    # https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=variables-set-job-execution
    job_id_variable: ClassVar[str] = "LSB_JOBID"
    index_variable: ClassVar[str] = "LSB_JOBINDEX"
    cores_variable: ClassVar[str] = "LSB_DJOB_NUMPROC"
    no_index: ClassVar[str] = "0"
    job_variables: ClassVar[re.Pattern[str]] = re.compile(r"(?!LSB_SHAREDIR$)(?:LSB|LS)_.*")
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?BSUB -[oe] (?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile("%J")
    launcher_rules = LauncherRules(
        show=("bjobs", "-noheader", "-o", "job_name", "{job_id}"),
        log="{home}/.jupyterhub.lsf.err",
        # https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=bsub-options: not what copies or
        # spools files (-f, -i, -is, -Zs), and no other files of options (-jsdl, -json, -pack).
        directives=("#BSUB",),
        options=tuple(_SCRIPT_OPTIONS.split()),
    )
    arrays: ClassVar[bool] = True
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+(?:\[[0-9]+\])?")
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "daemon not responding|connection refused|connection reset|cannot connect|still trying"
        "|operation is in progress|lsf is down|communication|timed? ?out|unable to open file",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        # An array is asked for by a name.
        array = f"[1-{request.elements}]" if request.elements > 1 else ""
        name = request.tag or ("array" if array else "")
        tag = ("-J", f"{name}{array}") if name else ()
        environment = {**request.environment, **_ONE_TRY}
        argv = ("bsub", *tag, *request.arguments)
        return Command(argv, _parse_submit, request.script, environment, timeout=60)

    def element(self, job_id: str, index: str) -> str:
        return f"{job_id}[{index}]"

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        return [self._query(job_ids, _LIST)]

    def query_owner(self, owner: str, job_ids: Collection[str]) -> Command[Listing]:
        return self._query(job_ids, _LIST_OWN, owner)

    def _query(self, job_ids: Collection[str], listing: str, *owner: str) -> Command[Listing]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        argv = ("sh", "-c", listing, "bjobs", _FIELDS, *owner)
        return Command(argv, lambda result: _parse_query(result, wanted), environment=_ONE_TRY)

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        argv = ("sh", "-c", _ONE, "bjobs", _FIELDS, self.checked(job_id))
        return [Command(argv, lambda result: _parse_one(result, job_id), environment=_ONE_TRY)]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(("bjobs", "-w", "-J", tag), _parse_find, environment=_ONE_TRY)

    def tagged(self) -> Command[list[TaggedJob]]:
        argv = ("sh", "-c", _LIST, "bjobs", _FIELDS)
        return Command(argv, _parse_tagged, environment=_ONE_TRY)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        argv = ("sh", "-c", _LIST_OWN, "bjobs", _FIELDS, owner)
        return Command(argv, _parse_own_jobs, environment=_ONE_TRY)

    def availability(self) -> Command[list[Queue]]:
        return Command(queues.QUEUES, queues.parse_queues, environment=_ONE_TRY)

    def cancel(self, job_id: str) -> Command[None]:
        return Command(("bkill", self.checked(job_id)), _parse_cancel, environment=_ONE_TRY)

    def option(self, name: str, value: object) -> str:
        return resource_option(name, value)

    def dependencies(self, jobs: Mapping[str, Sequence[str]]) -> str | None:
        if "singleton" in jobs:
            return None
        parts = [f"{_CONDITIONS[method]}({one})" for method, ids in jobs.items() for one in ids]
        return f'-w "{" && ".join(parts)}"'

    def signal(self, job_id: str, number: int) -> Command[None]:
        argv = ("bkill", "-s", str(number), self.checked(job_id))
        return Command(argv, self.answered, environment=_ONE_TRY)


def _parse_submit(result: CommandResult) -> str:
    LSF.accepted(result)
    match = re.search(r"^Job <([0-9]+)> is submitted to ", result.stdout, re.MULTILINE)
    if not match:
        raise ParseError("bsub printed no job id.", result)
    return match[1]


def _records(result: CommandResult) -> list[dict[str, str]]:
    """Return the jobs in the output of `bjobs -json` or `bjobs -w`, with the keys of the former."""
    if result.stdout.lstrip().startswith("{"):
        try:
            # Anything behind it is the output of the second command.
            answer, _ = json.JSONDecoder().raw_decode(result.stdout.lstrip())
            records = answer["RECORDS"]
            return [{**one} for one in records if "ERROR" not in one]
        except (ValueError, KeyError, TypeError) as error:
            raise ParseError(f"bjobs printed no records: {error!r}", result) from error
    # All failures have the same exit status; jobs that were found are printed all the same.
    if not result.ok and not result.stdout.strip():
        if _NO_JOBS.search(result.text):
            return []
        raise SchedulerUnavailable("bjobs did not answer.", result)
    head, *lines = result.stdout.splitlines() or [""]
    if not head.startswith("JOBID"):
        raise ParseError("bjobs printed no list of jobs.", result)
    return [_record(match) for line in lines if (match := _LINE.fullmatch(line))]


def _record(match: re.Match[str]) -> dict[str, str]:
    job_id, user, stat, queue, _, host, name = match.groups()
    index = re.search(r"\[(\d+)\]$", name)
    return {
        "JOBID": job_id,
        "JOBINDEX": index[1] if index else "0",
        "USER": user,
        "STAT": stat,
        "QUEUE": queue,
        "EXEC_HOST": "" if host == "-" else host,
        "JOB_NAME": name,
    }


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    found: dict[str, list[JobInfo]] = {}
    for record in _records(result):
        number = record.get("JOBID", "")
        for job_id in (number, f"{number}[{record.get('JOBINDEX', '')}]"):
            if job_id in wanted:
                found.setdefault(job_id, []).append(status_of_record(job_id, record))
    # An array lives as long as one of its elements.
    return {
        job_id: next((one for one in statuses if not one.is_final), statuses[0])
        for job_id, statuses in found.items()
    }


def _parse_own_jobs(result: CommandResult) -> list[JobInfo]:
    found = [status_of_record(one.get("JOBID", ""), one) for one in _records(result)]
    # An element of an array that has ended is listed while another one runs.
    return [one for one in found if not one.is_final]


def _parse_one(result: CommandResult, job_id: str) -> JobInfo | None:
    if result.stdout.lstrip().startswith("{"):
        records = _records(result)
        return status_of_record(job_id, records[0]) if records else None
    if not result.ok and not result.stdout.strip():
        if _UNKNOWN_JOB.search(result.text):
            return None
        raise SchedulerUnavailable("bjobs did not answer.", result)
    status = status_of_lines(job_id, result.stdout)
    if status is None:
        raise ParseError("bjobs -l printed no status.", result)
    return status


def _parse_find(result: CommandResult) -> list[str]:
    if not result.ok and _UNKNOWN_JOB.search(result.text):
        return []
    return list(dict.fromkeys(record["JOBID"] for record in _records(result)))


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    found = [
        TaggedJob(one.get("JOBID", ""), one.get("USER", ""), one.get("JOB_NAME", ""))
        for one in _records(result)
    ]
    return list(dict.fromkeys(found))


def _parse_cancel(result: CommandResult) -> None:
    if not _CANCELLED.search(result.text):
        LSF.answered(result)
