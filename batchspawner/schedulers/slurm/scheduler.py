"""Speak Slurm: sbatch, squeue, scancel, and scontrol and sacct where an end has to be explained.

Manuals: https://slurm.schedmd.com/man_index.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...commands import Command
from ...errors import ParseError, SchedulerUnavailable
from ...jobs import JobInfo, TaggedJob
from ..base import Scheduler
from . import limits, queues, reasons
from .states import SlurmId, end_of, reason_of, state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ...queues import Queue, Reservation
    from ..base import Listing

# Only fields in which no user can write: a job's name may hold line breaks, and a forged line
# would speak for somebody else's job.
_FIELDS = ("%i", "%T", "%B", "%S", "%e", "%P", "%r")
_FORMAT = "|".join(_FIELDS)
_ACCOUNTING = "JobID,State,ExitCode,DerivedExitCode,Start,End,NodeList,Partition,Reason"
_EPOCH = {"SLURM_TIME_FORMAT": "%s"}
"""Times as seconds since the epoch, so that no time zone has to be guessed."""
_UNKNOWN_JOB = re.compile("invalid job id specified", re.IGNORECASE)
_NO_ACCOUNTING = re.compile("accounting storage is disabled", re.IGNORECASE)


@dataclass(frozen=True)
class Slurm(Scheduler):
    """Build Slurm's commands.

    A job id is ``1234``, ``1234_5`` for one task of an array, ``1234+1`` for a component of a
    heterogeneous job, each with ``;cluster`` behind it where sbatch named the cluster.
    """

    name: ClassVar[str] = "slurm"
    title: ClassVar[str] = "Slurm"
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")
    # https://slurm.schedmd.com/slurm.conf.html: AccountingStoreFlags=job_env
    environment_readers: ClassVar[str] = (
        "administrators, and coordinators of the account where Slurm stores environments (job_env)"
    )
    job_id_variable: ClassVar[str] = "SLURM_JOB_ID"
    # What slurmctld itself allows a user where its own limit is on: rl_bucket_size.
    # https://slurm.schedmd.com/slurm.conf.html#OPT_rl_bucket_size
    burst: ClassVar[float] = 30.0
    arrays: ClassVar[bool] = True
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"[0-9]+(?:_[0-9]+|\+[0-9]+)?(?:;[A-Za-z0-9_.-]+)?"
    )
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "unable to contact slurm controller|socket timed out|unable to establish|connection refused"
        "|zero bytes were transmitted|temporarily unable|resource temporarily unavailable"
        "|unexpected message received|could not establish a configuration source"
        "|slurm_persist_conn",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        array = (f"--array=1-{request.elements}",) if request.elements > 1 else ()
        argv = ("sbatch", "--parsable", *self._tagged(request), *array, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def element(self, job_id: str, index: str) -> str:
        number, separator, cluster = job_id.partition(";")
        return f"{number}_{index}{separator}{cluster}"

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        by_cluster: dict[bool, list[SlurmId]] = {}
        for job_id in job_ids:
            one = SlurmId.parse(self.checked(job_id))
            by_cluster.setdefault(bool(one.cluster), []).append(one)
        return [self._query(wanted) for wanted in by_cluster.values()]

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        one = SlurmId.parse(self.checked(job_id))
        return [
            Command(
                ("scontrol", *one.cluster_option, "-d", "-o", "show", "job", one.local),
                lambda result: _parse_scontrol(result, one),
                environment=_EPOCH,
            ),
            Command(
                (
                    *("sacct", *one.cluster_option, "-X", "-n", "-P", "-j", one.local),
                    *("-o", _ACCOUNTING),
                ),
                lambda result: _parse_sacct(result, one),
                environment=_EPOCH,
            ),
        ]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(
            ("squeue", "-h", "-a", "--me", "-o", "%i|%k|%j"),
            lambda result: _parse_find(result, tag),
        )

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(("squeue", "-h", "-a", "-o", "%i|%u|%k|%j"), _parse_tagged)

    def availability(self) -> Command[list[Queue]]:
        return Command(queues.QUEUES, queues.parse_queues)

    def accounts(self) -> Command[Mapping[str, tuple[str, ...]]]:
        return Command(queues.ACCOUNTS, queues.parse_accounts)

    def reservations(self) -> Command[list[Reservation]]:
        return Command(queues.RESERVATIONS, queues.parse_reservations, environment=_EPOCH)

    def ahead(self) -> Command[Mapping[str, int]]:
        return Command(queues.WAITING, queues.parse_waiting)

    def core_usage(self) -> Command[Mapping[str, tuple[str, int]]]:
        return Command(limits.USAGE, limits.parse_usage)

    def core_limits(self) -> Command[Mapping[str, int]]:
        return Command(limits.LIMITS, limits.parse_limits)

    def cancel(self, job_id: str) -> Command[None]:
        one = SlurmId.parse(self.checked(job_id))
        return Command(("scancel", *one.cluster_option, one.local), _parse_cancel)

    def signal(self, job_id: str, number: int) -> Command[None]:
        one = SlurmId.parse(self.checked(job_id))
        return Command(
            ("scancel", *one.cluster_option, f"--signal={number}", "--full", one.local),
            self.answered,
        )

    def on_node(self, node: str, command: str, job_id: str = "") -> tuple[str, ...]:
        # A step shares what the job has with the others (--overlap, --mem=0).
        # https://slurm.schedmd.com/srun.html#OPT_overlap
        step = ("--overlap", "--mem=0", "--nodes=1", "--ntasks=1")
        place = {"--jobid": job_id, "--nodelist": node}
        where = tuple(f"{option}={value}" for option, value in place.items() if value)
        return ("srun", *step, *where, "/bin/sh", "-c", f"exec {command}")

    def _query(self, wanted: list[SlurmId]) -> Command[Listing]:
        clusters = ",".join(sorted({one.cluster for one in wanted if one.cluster}))
        option = ("-M", clusters) if clusters else ()
        # All states, because an ended job is otherwise missing like one that never was.
        return Command(
            ("squeue", *option, "-h", "-a", "-t", "all", "-o", _FORMAT),
            lambda result: _parse_query(result, wanted),
            environment=_EPOCH,
        )

    @staticmethod
    def _tagged(request: JobRequest) -> list[str]:
        """Carry the tag in the comment, or in the name where the script has its own comment."""
        if not request.tag:
            return []
        taken = "--comment" in request.script
        return [f"--job-name={request.tag}" if taken else f"--comment={request.tag}"]


def _parse_submit(result: CommandResult) -> str:
    Slurm.accepted(result)
    # A site's wrapper or plugin may print lines of its own before the id.
    job_id = result.stdout.strip().rpartition("\n")[2].strip()
    if not Slurm.job_id_pattern.fullmatch(job_id):
        raise ParseError("sbatch --parsable did not end with a job id.", result)
    return job_id


def _parse_query(result: CommandResult, wanted: list[SlurmId]) -> dict[str, JobInfo]:
    if not result.ok:
        # With all its filters off, squeue fails for one reason only: it has no answer.
        raise SchedulerUnavailable("squeue failed.", result)
    by_number: dict[str, list[SlurmId]] = {}
    for one in wanted:
        by_number.setdefault(one.number, []).append(one)
    statuses: dict[str, JobInfo] = {}
    for cluster, line in _lines(result.stdout):
        number = line[: len(line) - len(line.lstrip("0123456789"))]
        for one in by_number.get(number, ()):
            if one.cluster in ("", cluster) or not cluster:
                status = _parse_line(result, line, one)
                known = statuses.get(one.text)
                # The tasks of an array that still live speak for the whole array.
                if status and (known is None or known.is_final):
                    statuses[one.text] = status
    return statuses


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the cluster that squeue announced above it."""
    cluster = ""
    for line in text.splitlines():
        if line.startswith("CLUSTER: "):
            cluster = line[len("CLUSTER: ") :].strip()
        elif line.strip():
            yield cluster, line


def _parse_line(result: CommandResult, line: str, one: SlurmId) -> JobInfo | None:
    fields = line.split("|", len(_FIELDS) - 1)
    if len(fields) != len(_FIELDS):
        raise ParseError(f"squeue printed a line of another form: {line!r}", result)
    listed, native, host, start, end, queue, reason = fields
    if not one.is_listed_as(listed):
        return None
    state = state_of(native, reason)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=native,
        reason=reason_of(state, reason),
        host=_named(host),
        queue=queue,
        start=None if state.is_waiting else _seconds(start),
        expected_start=_seconds(start) if state.is_waiting else None,
        end=None if state.is_waiting else _seconds(end),
    )


def _parse_scontrol(result: CommandResult, one: SlurmId) -> JobInfo | None:
    if _UNKNOWN_JOB.search(result.text):
        return None
    Slurm.answered(result)
    for line in result.stdout.splitlines():
        facts = dict(re.findall(r"(?:^|\s)([A-Z]\w*)=(\S+)", line))
        if "JobState" in facts and one.is_record(facts):
            return _status_of_record(facts, one)
    return None


def _status_of_record(facts: dict[str, str], one: SlurmId) -> JobInfo:
    derived = facts.get("DerivedExitCode", "")
    state, reason = end_of(facts["JobState"], facts.get("Reason", ""), derived)
    code, number = _exit(facts.get("ExitCode", "")) if state.is_final else (None, None)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=facts["JobState"],
        reason=reason_of(state, reason),
        host=_named(facts.get("BatchHost", "")),
        queue=_named(facts.get("Partition", "")),
        start=None if state.is_waiting else _seconds(facts.get("StartTime", "")),
        expected_start=_seconds(facts.get("StartTime", "")) if state.is_waiting else None,
        end=None if state.is_waiting else _seconds(facts.get("EndTime", "")),
        exit_code=code,
        signal=number,
    )


def _parse_sacct(result: CommandResult, one: SlurmId) -> JobInfo | None:
    if not result.ok and _NO_ACCOUNTING.search(result.text):
        return None
    Slurm.answered(result)
    status = None
    for line in result.stdout.splitlines():
        fields = line.split("|", _ACCOUNTING.count(","))
        # The last record is the newest: a requeued job has one for each of its lives.
        if len(fields) == _ACCOUNTING.count(",") + 1 and fields[0] == one.local:
            status = _status_of_account(fields, one)
    return status


def _status_of_account(fields: list[str], one: SlurmId) -> JobInfo:
    _, native, exit_code, derived, start, end, nodes, queue, reason = fields
    # "CANCELLED by 1001"
    native, _, by = native.partition(" by ")
    state, reason = end_of(native, reason, derived)
    code, number = _exit(exit_code) if state.is_final else (None, None)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=native,
        reason=f"cancelled by user id {by}" if by else reason_of(state, reason),
        host=_named(nodes.partition(",")[0]) if "[" not in nodes else "",
        queue=queue,
        start=_seconds(start),
        end=_seconds(end),
        exit_code=code,
        signal=number,
    )


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    Slurm.answered(result)
    found = []
    for cluster, line in _lines(result.stdout):
        # A line break in a comment makes a line that speaks of another's job; see TaggedJob.
        listed, _, rest = line.partition("|")
        owner, _, text = rest.partition("|")
        if number := re.match(r"[0-9]+", listed):
            job_id = f"{number[0]};{cluster}" if cluster else number[0]
            found.append(TaggedJob(job_id, owner, text))
    return list(dict.fromkeys(found))


def _parse_find(result: CommandResult, tag: str) -> list[str]:
    Slurm.answered(result)
    found = {}
    for cluster, line in _lines(result.stdout):
        listed, _, labels = line.partition("|")
        # The tasks of an array and the parts of a heterogeneous job were one submit.
        number = re.match(r"[0-9]+", listed)
        if number and tag in labels.split("|"):
            found[f"{number[0]};{cluster}" if cluster else number[0]] = True
    return list(found)


def _parse_cancel(result: CommandResult) -> None:
    if not _UNKNOWN_JOB.search(result.text) and "already complet" not in result.text:
        Slurm.answered(result)


def _exit(text: str) -> tuple[int | None, int | None]:
    """Read Slurm's ``code:signal``."""
    code, _, number = text.partition(":")
    if not code.isdigit():
        return None, None
    return int(code), int(number) if number.isdigit() and number != "0" else None


def _seconds(text: str) -> float | None:
    """Read seconds since the epoch, as SLURM_TIME_FORMAT asks for; N/A and Unknown are None."""
    return float(text) if text.isdigit() and text != "0" else None


def _named(text: str) -> str:
    """Return a host or queue; Slurm's words for none of it are empty."""
    return "" if text in ("n/a", "(null)", "None assigned", "N/A") else text
