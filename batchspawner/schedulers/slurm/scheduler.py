"""Slurm: sbatch, squeue, scancel, and scontrol and sacct for how a job has ended.

Manuals: https://slurm.schedmd.com/man_index.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from ...commands import Command
from ...errors import SchedulerUnavailable
from ...jobs import JobInfo, TaggedJob
from ..base import Detection, LauncherRules, Scheduler
from ..broken_records import check_not_cut_off, unreadable
from . import limits, queues, reasons
from .records import ACCOUNTING, UNKNOWN_JOB, named, parse_sacct, parse_scontrol, seconds
from .states import SlurmId, reason_of, state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ...queues import Queue, Reservation
    from ..base import Listing

# Only fields in which no user can write: a job's name may hold line breaks, and a forged line
# would be taken for one about somebody else's job.
_FIELDS = ("%i", "%T", "%B", "%S", "%e", "%P", "%r")
_FORMAT = "|".join(_FIELDS)
# "There is a problem talking to the database: … Only local cluster communication is available",
# "No clusters can be reached now."
_NO_OTHER_CLUSTERS = re.compile(
    "talking to (?:the )?database|no clusters can be reached|can't be reached now", re.IGNORECASE
)
_EPOCH = {"SLURM_TIME_FORMAT": "%s"}
"""Times as seconds since the epoch, so that no time zone has to be guessed."""


@dataclass(frozen=True)
class Slurm(Scheduler):
    """Commands of Slurm.

    A job id is ``1234``, ``1234_5`` for one task of an array, ``1234+1`` for a component of a
    heterogeneous job, each with ``;cluster`` behind it where sbatch named the cluster.
    """

    name: ClassVar[str] = "slurm"
    title: ClassVar[str] = "Slurm"
    detection = Detection("sbatch")
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")
    # https://slurm.schedmd.com/slurm.conf.html: AccountingStoreFlags=job_env
    environment_readers: ClassVar[str] = (
        "administrators, and coordinators of the account where Slurm stores environments (job_env)"
    )
    directives: ClassVar[tuple[str, ...]] = ("#SBATCH",)
    # Its own names are options of sbatch.
    resource_names: ClassVar[Mapping[str, str]] = MappingProxyType({})
    # https://slurm.schedmd.com/sbatch.html#OPT_time
    bare_runtime_s: ClassVar[int] = 60
    mpi_launcher: ClassVar[str] = "srun"
    # https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
    job_id_variable: ClassVar[str] = "SLURM_JOB_ID"
    index_variable: ClassVar[str] = "SLURM_ARRAY_TASK_ID"
    array_id_variable: ClassVar[str] = "SLURM_ARRAY_JOB_ID"
    end_variable: ClassVar[str] = "SLURM_JOB_END_TIME"
    # https://slurm.schedmd.com/sbatch.html#SECTION_INPUT-ENVIRONMENT-VARIABLES
    job_variables: ClassVar[re.Pattern[str]] = re.compile(
        "(?!SLURM_(?:CONF|CLUSTERS)$)(?:SLURM|SLURMD|SBATCH|SRUN|SALLOC)_.*"
    )
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?SBATCH --(?:output|error)=(?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile("%[jJ]")
    launcher_rules = LauncherRules(
        show=("squeue", "-h", "-a", "-t", "all", "--me", "-j", "{job_id}", "-o", "%k %j"),
        log="{home}/jupyterhub_slurmspawner_{number}.log",
        # Ids name the cluster if there are several.
        job_id=r"(?P<number>[0-9]+(?:[_+][0-9]+)?)(?:;(?P<cluster>[A-Za-z0-9_.-]+))?",
        job_id_word="{number}",
        job_options=("--clusters={cluster}",),
    )
    # What slurmctld allows each user if its own limit is enabled: rl_bucket_size.
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
        # Each cluster counts its own jobs, and squeue -h does not say which one a line is from.
        by_cluster: dict[str, list[SlurmId]] = {}
        for job_id in job_ids:
            one = SlurmId.parse(self.checked(job_id))
            by_cluster.setdefault(one.cluster, []).append(one)
        return [self._query(wanted) for wanted in by_cluster.values()]

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        one = SlurmId.parse(self.checked(job_id))
        return [
            Command(
                ("scontrol", *one.cluster_option, "-d", "-o", "show", "job", one.local),
                lambda result: parse_scontrol(result, one, self.answered),
                environment=_EPOCH,
            ),
            Command(
                (
                    *("sacct", *one.cluster_option, "-X", "-n", "-P", "-j", one.local),
                    *("-o", ACCOUNTING),
                ),
                lambda result: parse_sacct(result, one, self.answered),
                environment=_EPOCH,
            ),
        ]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(
            ("squeue", "-h", "-a", "--me", "-o", "%i|%k|%j"),
            lambda result: _parse_find(result, tag),
        )

    def find_elsewhere(self, tag: str) -> Command[list[str]]:
        # With its headings squeue says which cluster the lines below are from.
        return Command(
            ("squeue", "-M", "all", "-a", "--me", "-o", "%i|%k|%j"),
            lambda result: _parse_find_elsewhere(result, tag),
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
        one = SlurmId.parse(job_id)
        # A step shares what the job has with the others (--overlap, --mem=0).
        # https://slurm.schedmd.com/srun.html#OPT_overlap
        step = ("--overlap", "--mem=0", "--nodes=1", "--ntasks=1")
        place = {"--jobid": one.local, "--nodelist": node}
        where = (
            *one.cluster_option,
            *(f"{option}={value}" for option, value in place.items() if value),
        )
        return ("srun", *step, *where, "/bin/sh", "-c", f"exec {command}")

    def dependencies(self, jobs: Mapping[str, Sequence[str]]) -> str:
        # https://slurm.schedmd.com/sbatch.html#OPT_dependency
        parts = [
            ":".join([method, *(one.partition(";")[0] for one in ids)])
            for method, ids in jobs.items()
        ]
        # Otherwise a job that can never start would wait forever.
        return f"--dependency={','.join(parts)}\n--kill-on-invalid-dep=yes"

    def _query(self, wanted: list[SlurmId]) -> Command[Listing]:
        """Return the query of jobs that are all in one cluster."""
        # All states: otherwise a job that has ended is missing like one that never existed.
        return Command(
            ("squeue", *wanted[0].cluster_option, "-h", "-a", "-t", "all", "-o", _FORMAT),
            lambda result: _parse_query(result, wanted),
            environment=_EPOCH,
        )

    @staticmethod
    def _tagged(request: JobRequest) -> list[str]:
        """Return the options for the tag: the comment, or the name if the script has a comment."""
        if not request.tag:
            return []
        taken = "--comment" in request.script
        return [f"--job-name={request.tag}" if taken else f"--comment={request.tag}"]


def _parse_submit(result: CommandResult) -> str:
    Slurm.accepted(result)
    return Slurm.printed_id(result)


def _parse_query(result: CommandResult, wanted: list[SlurmId]) -> dict[str, JobInfo]:
    if not result.ok:
        # With all its filters off, squeue fails for one reason only: it has no answer.
        raise SchedulerUnavailable("squeue failed.", result)
    by_number: dict[str, list[SlurmId]] = {}
    for one in wanted:
        by_number.setdefault(one.number, []).append(one)
    statuses: dict[str, JobInfo] = {}
    check_not_cut_off("squeue", result, fields=len(_FIELDS))
    for _, line in _lines(result.stdout):
        number = line[: len(line) - len(line.lstrip("0123456789"))]
        for one in by_number.get(number, ()):
            status = _parse_line(line, one)
            known = statuses.get(one.text)
            # An array is as alive as any of its tasks.
            if status and (known is None or known.is_final):
                statuses[one.text] = status
    return statuses


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the cluster that squeue printed above it."""
    cluster = ""
    for line in text.splitlines():
        if line.startswith("CLUSTER: "):
            cluster = line[len("CLUSTER: ") :].strip()
        elif line.strip():
            yield cluster, line


def _parse_line(line: str, one: SlurmId) -> JobInfo | None:
    fields = line.split("|", len(_FIELDS) - 1)
    if len(fields) != len(_FIELDS):
        return unreadable(one.text) if one.is_listed_as(fields[0]) else None
    listed, native, host, start, end, queue, reason = fields
    if not one.is_listed_as(listed):
        return None
    state = state_of(native, reason)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=native,
        reason=reason_of(state, reason),
        host=named(host),
        queue=queue,
        start=None if state.is_waiting else seconds(start),
        expected_start=seconds(start) if state.is_waiting else None,
        end=None if state.is_waiting else seconds(end),
    )


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    Slurm.answered(result)
    found = []
    for cluster, line in _lines(result.stdout):
        # A line break in a comment can forge a line about another's job: see TaggedJob.
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


def _parse_find_elsewhere(result: CommandResult, tag: str) -> list[str]:
    # Without the database of clusters, no job can be submitted to another cluster either.
    if not result.ok and _NO_OTHER_CLUSTERS.search(result.text):
        return []
    return _parse_find(result, tag)


def _parse_cancel(result: CommandResult) -> None:
    if not UNKNOWN_JOB.search(result.text) and "already complet" not in result.text:
        Slurm.answered(result)
