"""Grid Engine: qsub, qstat, qdel, and qacct for how a job has ended.

Manuals: https://manpages.debian.org/bookworm/gridengine-client/
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...commands import Command
from ...errors import ParseError, SchedulerUnavailable
from ...jobs import JobInfo, JobState, TaggedJob
from ..base import Carrier, Detection, LauncherRules, Scheduler
from ..broken_records import read_xml_records, status_or_unreadable
from ..option_lines import resource_option
from . import queues
from .states import REASONS, reason_of, state_of

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Collection, Mapping, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ...queues import Queue
    from ..base import Listing

_ENDED = re.compile(r"does not exist|already in deletion|registered the job|has deleted job")
_TRY_LATER = 25
"""Exit status of qsub if a limit on jobs is reached: https://manpages.debian.org/qsub.1"""

_SCRIPT_OPTIONS = """
-A -M -N -P -R -S -a -ar -binding -cwd -dl -e -hard -hold_jid -j -l -m -masterq -notify -o -p -pe
-q -r -soft -v -wd
"""
"""Options of scripts that read no file and run nothing on the login host."""


@dataclass(frozen=True)
class GridEngine(Scheduler):
    """Commands of Grid Engine. A job id is a number, ``12.3`` a task of an array."""

    name: ClassVar[str] = "gridengine"
    title: ClassVar[str] = "Grid Engine"
    detection = Detection("qconf")
    reasons = REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("SGE_*",)
    # accounting_flush_time is 15 s by default:
    # https://manpages.debian.org/bookworm/gridengine-common/sge_conf.5
    accounting_delay_s: ClassVar[float] = 20.0
    carrier: ClassVar[Carrier] = Carrier.FILE
    # Behind a line break a value is cut, or the variable is left out. Name and value are also cut
    # behind 9998 bytes, and a character has up to 4.
    carried_values: ClassVar[re.Pattern[str]] = re.compile(r"[^\0\n]{0,2000}")
    state_delay_s: ClassVar[float] = 0.0
    environment_readers: ClassVar[str] = "every user of the cluster, by qstat -j"
    directives: ClassVar[tuple[str, ...]] = ("#$",)
    # https://manpages.debian.org/bookworm/gridengine-client/qsub.1 ("Environmental variables")
    job_id_variable: ClassVar[str] = "JOB_ID"
    index_variable: ClassVar[str] = "SGE_TASK_ID"
    cores_variable: ClassVar[str] = "NSLOTS"
    no_index: ClassVar[str] = "undefined"
    job_variables: ClassVar[re.Pattern[str]] = re.compile(
        r"SGE_(?:TASK|STDIN|STDOUT|STDERR|JOB|O_|CWD|BINARY).*|JOB_ID|JOB_NAME|TASK_ID"
        r"|NSLOTS|NHOSTS|NQUEUES|PE_HOSTFILE|PE|ENVIRONMENT|REQNAME"
    )
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?\$ -[oe] (?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile(r"\$JOB_ID")
    launcher_rules = LauncherRules(
        show=("qstat", "-j", "{job_id}"),
        shown=r"(?m)^job_name: +(\S+)$",
        log="{home}/.jupyterhub.sge.out",
        # https://manpages.debian.org/bookworm/gridengine-client/qsub.1: not -C, another prefix, -@,
        # options from a file, or -jsv, a script that judges jobs.
        directives=("#$",),
        options=tuple(_SCRIPT_OPTIONS.split()),
    )
    arrays: ClassVar[bool] = True
    # max_aj_tasks: https://manpages.debian.org/bookworm/gridengine-common/sge_conf.5
    array_refused: ClassVar[re.Pattern[str]] = re.compile("tasks", re.IGNORECASE)
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+(?:\.[0-9]+)?")
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "commlib error|unable to contact qmaster|unable to send message|timeout|can't unpack",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        tag = ("-N", request.tag) if request.tag else ()
        array = ("-t", f"1-{request.elements}") if request.elements > 1 else ()
        argv = ("qsub", "-terse", *tag, *array, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def element(self, job_id: str, index: str) -> str:
        return f"{job_id}.{index}"

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        return [self.query_owner("*", job_ids)]

    def query_owner(self, owner: str, job_ids: Collection[str]) -> Command[Listing]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        return Command(("qstat", "-xml", "-u", owner), lambda result: _parse_query(result, wanted))

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        number, _, task = self.checked(job_id).partition(".")
        option = ("-t", task) if task else ()
        return [
            Command(("qacct", "-j", number, *option), lambda result: _parse_qacct(result, job_id)),
        ]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(("qstat", "-xml"), lambda result: _parse_find(result, tag))

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(("qstat", "-xml", "-u", "*"), _parse_tagged)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        return Command(("qstat", "-xml", "-u", owner), _parse_own_jobs)

    def availability(self) -> Command[list[Queue]]:
        return Command(queues.QUEUES, queues.parse_queues)

    def expected_start(self, request: JobRequest) -> Command[float | None]:
        # Only verified, "as is now": the job is not submitted.
        argv = ("qsub", "-w", "p", *request.arguments)
        return Command(argv, _parse_expected_start, request.script, request.environment)

    def option(self, name: str, value: object) -> str:
        return resource_option(name, value)

    def dependencies(self, jobs: Mapping[str, Sequence[str]]) -> str | None:
        return f"-hold_jid {','.join(jobs['afterany'])}" if [*jobs] == ["afterany"] else None

    def warning(self, resources: Mapping[str, object]) -> str:
        several = resources.get("nprocs") not in (None, "", 1, "1")
        if not several or resources.get("parallel_environment") or "pe" in resources:
            return ""
        return (
            "On Grid Engine a job has one core, whatever its nprocs, unless "
            "parallel_environment names where it may have more (qconf -spl lists the names)."
        )

    def cancel(self, job_id: str) -> Command[None]:
        number, _, task = self.checked(job_id).partition(".")
        option = ("-t", task) if task else ()
        return Command(("qdel", number, *option), _parse_cancel)


def _parse_submit(result: CommandResult) -> str:
    GridEngine.accepted(result, transient=result.returncode == _TRY_LATER)
    # An array prints "12.1-3:1".
    match = re.search(r"^([0-9]+)(?:\.[0-9]+-[0-9]+:[0-9]+)?$", result.stdout, re.MULTILINE)
    if not match:
        raise ParseError("qsub -terse printed no job id.", result)
    return match[1]


def _parse_expected_start(result: CommandResult) -> float | None:
    if "verification: no suitable queues" in result.text:
        return None
    GridEngine.accepted(result)
    if "verification: found suitable queue" not in result.text:
        raise ParseError("qsub -w p verified nothing.", result)
    return 0.0


def _jobs(result: CommandResult) -> list[ET.Element]:
    # If the qmaster is down, there is an exit status and no document.
    if not result.ok:
        raise SchedulerUnavailable("qstat failed.", result)
    return read_xml_records("qstat", result, "job_list", "JB_job_number")


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    found: dict[str, JobInfo] = {}
    for job in _jobs(result):
        number = job.findtext("JB_job_number", "")
        for job_id in (number, *_tasks(number, job.findtext("tasks", ""), wanted)):
            # A task that runs is listed first, and stands for the array.
            if job_id in wanted:
                found.setdefault(job_id, status_or_unreadable(job_id, job, _status))
    return found


def _parse_own_jobs(result: CommandResult) -> list[JobInfo]:
    return [
        status_or_unreadable(job.findtext("JB_job_number", ""), job, _status)
        for job in _jobs(result)
    ]


def _tasks(number: str, listed: str, wanted: set[str]) -> list[str]:
    """Return the wanted tasks of an array among those of a line: ``3``, ``4-9:1``, ``1,5``."""
    return [
        job_id
        for job_id in wanted
        if job_id.startswith(f"{number}.")
        and any(_holds(piece, int(job_id.partition(".")[2])) for piece in listed.split(","))
    ]


def _holds(piece: str, task: int) -> bool:
    match = re.fullmatch(r"(\d+)(?:-(\d+):(\d+))?", piece)
    if not match:
        return False
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    return first <= task <= last and (task - first) % step == 0


def _status(job_id: str, job: ET.Element) -> JobInfo:
    native = job.findtext("state", "")
    state = state_of(native)
    queue, _, host = job.findtext("queue_name", "").partition("@")
    return JobInfo(
        job_id=job_id,
        state=state,
        native=native,
        reason=reason_of(native),
        host=host,
        queue=queue,
        name=job.findtext("JB_name", ""),
        start=_seconds(job.findtext("JAT_start_time", ""), "%Y-%m-%dT%H:%M:%S"),
    )


def _parse_qacct(result: CommandResult, job_id: str) -> JobInfo | None:
    if not result.ok:
        # Where the accounting has not begun, or is not to be read here, it knows of no job.
        if "not found" in result.text or "no jobs running since startup" in result.text:
            return None
        raise SchedulerUnavailable("qacct failed.", result)
    # A job that was restarted has a record for each of its lives; the last one counts.
    record = result.stdout.rpartition("=" * 20)[2]
    facts = dict(re.findall(r"^(\w+)\s+(.*?)\s*$", record, re.MULTILINE))
    failed, exit_status = _number(facts.get("failed", "")), _number(facts.get("exit_status", ""))
    if failed is None or exit_status is None:
        raise ParseError("qacct printed a record of another form.", result)
    state, reason = _end(failed, exit_status, facts)
    clock = "%a %b %d %H:%M:%S %Y"
    return JobInfo(
        job_id=job_id,
        state=state,
        native=f"failed {facts['failed']}",
        reason=reason,
        host=facts.get("hostname", ""),
        queue=facts.get("qname", ""),
        name=facts.get("jobname", ""),
        start=_seconds(facts.get("start_time", ""), clock),
        end=_seconds(facts.get("end_time", ""), clock),
        exit_code=None if exit_status > 128 else exit_status,
        signal=exit_status - 128 if exit_status > 128 else None,
    )


def _end(failed: int, exit_status: int, facts: dict[str, str]) -> tuple[JobState, str]:
    """Return how a job ended. https://manpages.debian.org/bookworm/gridengine-common/sge_status.5"""
    if failed == 0:
        return (JobState.FAILED if exit_status else JobState.COMPLETED), ""
    limit = re.search(r"h_rt=([0-9]+)", facts.get("category", ""))
    ran = _number(facts.get("ru_wallclock", "")) or 0
    if limit and ran >= int(limit[1]):
        return JobState.TIMEOUT, f"it reached its h_rt of {limit[1]} s"
    # 100: "assumedly after job", which is how a killed job is booked.
    if failed == 100:
        return JobState.CANCELLED, "killed, by qdel or over a limit"
    return JobState.FAILED, f"it could not be started: {facts['failed']}"


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    names = ("JB_job_number", "JB_owner", "JB_name")
    found = [TaggedJob(*(job.findtext(name, "") for name in names)) for job in _jobs(result)]
    return list(dict.fromkeys(found))


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    numbers = [
        job.findtext("JB_job_number", "")
        for job in _jobs(result)
        if job.findtext("JB_name", "") == tag
    ]
    return list(dict.fromkeys(numbers))


def _parse_cancel(result: CommandResult) -> None:
    if not _ENDED.search(result.text):
        GridEngine.answered(result)


def _number(text: str) -> int | None:
    match = re.match(r"\d+", text)
    return int(match[0]) if match else None


def _seconds(text: str, form: str) -> float | None:
    """Read a local time, as Grid Engine's commands print it."""
    try:
        return time.mktime(time.strptime(text, form))
    except ValueError:
        return None
