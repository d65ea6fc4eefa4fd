"""Slurm: sbatch, squeue, scancel, and scontrol and sacct for how a job has ended.

Manuals: https://slurm.schedmd.com/man_index.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from ...commands import Command
from ...errors import ParseError
from ..base import Detection, LauncherRules, Scheduler
from . import limits, queues, reasons
from .listings import FORMAT, parse_find, parse_listing, parse_own_jobs, parse_tagged
from .options import SCRIPT_OPTIONS, usual_options
from .records import ACCOUNTING, UNKNOWN_JOB, parse_sacct, parse_scontrol
from .states import SlurmId

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ...commands import CommandResult
    from ...jobs import JobInfo, JobRequest, TaggedJob
    from ...queues import Queue, Reservation
    from ..base import Listing

# "There is a problem talking to the database: … Only local cluster communication is available",
# "No clusters can be reached now."
_NO_OTHER_CLUSTERS = re.compile(
    "talking to (?:the )?database|no clusters can be reached|can't be reached now", re.IGNORECASE
)
# "sbatch: Job 7 to start at 1796035208 using 1 processors on nodes n2 in partition normal"
_EXPECTED_START = re.compile(r"\bto start at (\d+) ", re.MULTILINE)
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
    state_delay_s: ClassVar[float] = 0.0
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
    cores_variable: ClassVar[str] = "SLURM_CPUS_ON_NODE"
    memory_variable: ClassVar[str] = "SLURM_MEM_PER_NODE"
    memory_per_core_variable: ClassVar[str] = "SLURM_MEM_PER_CPU"
    # https://slurm.schedmd.com/sbatch.html#SECTION_INPUT-ENVIRONMENT-VARIABLES
    job_variables: ClassVar[re.Pattern[str]] = re.compile(
        "(?!SLURM_(?:CONF|CLUSTERS)$)(?:SLURM|SLURMD|SBATCH|SRUN|SALLOC)_.*"
    )
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?SBATCH --(?:output|error)=(?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile("%[jJ]")
    # https://slurm.schedmd.com/sbatch.html#OPT_open-mode
    log_is_replaced: ClassVar[bool] = True
    launcher_rules = LauncherRules(
        show=("squeue", "-h", "-a", "-t", "all", "--me", "-j", "{job_id}", "-o", "%k %j"),
        log="{home}/.jupyterhub.slurm.{number}.log",
        # Ids name the cluster if there are several.
        job_id=r"(?P<number>[0-9]+(?:[_+][0-9]+)?)(?:;(?P<cluster>[A-Za-z0-9_.-]+))?",
        job_id_word="{number}",
        job_options=("--clusters={cluster}",),
        # sbatch reads the lines of PBS and LSF, too.
        directives=("#SBATCH", "#PBS", "#BSUB"),
        options=SCRIPT_OPTIONS,
        # https://slurm.schedmd.com/sbatch.html#OPT_nodelist: a list with a slash is a file's name.
        refused=(r"(?m)^\s*#(?:SBATCH|PBS|BSUB)(?:.*\s)?(?:-[wx]|--nodelist|--exclude).*/",),
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
        "|slurm_persist_conn|can't be reached now",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        array = (f"--array=1-{request.elements}",) if request.elements > 1 else ()
        argv = ("sbatch", "--parsable", *self._tagged(request), *array, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def usual_options(self, environment: Mapping[str, str], request: JobRequest) -> tuple[str, ...]:
        given = [*re.findall(r"(?m)^#SBATCH\s+(.*)$", request.script), *request.arguments]
        return usual_options(environment, given)

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

    def query_each(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        # For several ids, slurmctld sends all its jobs, and squeue picks them out.
        ids = [SlurmId.parse(self.checked(job_id)) for job_id in job_ids]
        return [self._query([one], "-j", one.local) for one in ids]

    def query_owner(self, owner: str, job_ids: Collection[str]) -> Command[Listing] | None:
        ids = [SlurmId.parse(self.checked(job_id)) for job_id in job_ids]
        if len({one.cluster for one in ids}) > 1:
            return None
        return self._query(ids, "-u", owner)

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

    # With its headings, squeue says which cluster the lines below are from: SLURM_CLUSTERS may
    # name several. https://slurm.schedmd.com/squeue.html#OPT_SLURM_CLUSTERS
    def find(self, tag: str) -> Command[list[str]]:
        return Command(
            ("squeue", "-a", "--me", "-o", "%i|%k|%j"),
            lambda result: parse_find(result, tag, self.answered),
        )

    def find_elsewhere(self, tag: str) -> Command[list[str]]:
        return Command(
            ("squeue", "-M", "all", "-a", "--me", "-o", "%i|%k|%j"),
            lambda result: _parse_find_elsewhere(result, tag),
        )

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(
            ("squeue", "-a", "-o", "%i|%u|%k|%j"),
            lambda result: parse_tagged(result, self.answered),
        )

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:  # noqa: ARG002  (--me)
        # One's own listing may have the names of jobs: a line break in one deceives nobody else.
        return Command(
            ("squeue", "-a", "--me", "-o", f"{FORMAT}|%j"),
            lambda result: parse_own_jobs(result, self.answered),
            environment=_EPOCH,
        )

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

    def expected_start(self, request: JobRequest) -> Command[float | None]:
        # https://slurm.schedmd.com/sbatch.html#OPT_test-only
        argv = ("sbatch", "--test-only", *request.arguments)
        return Command(
            argv, _parse_expected_start, request.script, {**request.environment, **_EPOCH}
        )

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

    def _query(self, wanted: list[SlurmId], *selection: str) -> Command[Listing]:
        """Return the query of jobs that are all in one cluster."""
        # All states: otherwise a job that has ended is missing like one that never existed.
        where = (*wanted[0].cluster_option, *selection)
        return Command(
            ("squeue", *where, "-h", "-a", "-t", "all", "-o", FORMAT),
            lambda result: parse_listing(result, wanted),
            environment=_EPOCH,
            jobs=tuple(one.text for one in wanted),
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


def _parse_expected_start(result: CommandResult) -> float | None:
    found = _EXPECTED_START.search(result.text)
    if found:
        return float(found[1])
    Slurm.accepted(result)
    raise ParseError("sbatch --test-only printed no time.", result)


def _parse_find_elsewhere(result: CommandResult, tag: str) -> list[str]:
    # Without the database of clusters, no job can be submitted to another cluster either.
    if not result.ok and _NO_OTHER_CLUSTERS.search(result.text):
        return []
    return parse_find(result, tag, Slurm.answered)


def _parse_cancel(result: CommandResult) -> None:
    if not UNKNOWN_JOB.search(result.text) and "already complet" not in result.text:
        Slurm.answered(result)
