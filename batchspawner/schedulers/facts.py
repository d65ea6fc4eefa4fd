"""Facts about a scheduler, as attributes of its class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .reasons import Reason

_NEVER = re.compile(r"(?!)")
_REFUSED = re.compile(
    r"invalid(?! credential| auth)|illegal|unknown (?!error)|unrecogni[sz]ed|unauthori[sz]ed|denied"
    r"|not (?:allowed|authori[sz]ed|available|enabled|exist|found|permitted|valid)|cannot locate"
    r"|exceed|violate|limit|maximum|too (?:few|large|long|many|small)|must|require|(?<!un)specified"
    r"|no such|missing|syntax|usage|bad (?!address)|reject|conflict|directive|does not",
    re.IGNORECASE,
)

SLURM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "partition": "queue",
        "mem": "memory",
        "time": "runtime",
        "cpus_per_task": "nprocs",
        "ntasks": "nprocs",
        "c": "nprocs",
        "t": "runtime",
        "p": "queue",
    }
)
"""Slurm's names of resources that every scheduler knows: options for Slurm work on others, too."""


class Carrier(Enum):
    """The ways by which a secret can reach a job."""

    ENVIRONMENT = "environment"
    """The environment of the submit command."""
    SCRIPT = "script"
    """The text of the job script."""
    FILE = "file"
    """A file in the owner's home that only the owner can read; the nodes share the homes."""


@dataclass(frozen=True)
class Detection:
    """The command, and the file if there is one, by which a scheduler is recognised on a machine.

    `file_variable` names an environment variable that may hold another path for the file. Without
    the file, it is recognised by the text `version` in what the command prints for ``--version``.
    `ambiguous` says that other schedulers have a command of this name, too: it is looked for
    after the commands that belong to one scheduler only.
    """

    command: str
    file: str = ""
    file_variable: str = ""
    version: str = ""
    ambiguous: bool = False


@dataclass(frozen=True)
class LauncherRules:
    """What the launcher of a site has to know about a scheduler: see `batchspawner.launcher`.

    `show` is the command that prints the name or comment of the user's own job, and `shown` the
    pattern whose group finds the tag in its output: a job that was submitted from a notebook by
    `qsub -V` has the tag of the notebook's job among its variables, so the whole output is not
    searched. `log` is the path to which the packaged template lets a job write.

    `options` are the options that lines with one of the prefixes `directives` may have; one that
    ends in ``*`` can have its value attached. They are those of the packaged template, and others
    that do nothing on the login host. `refused` are patterns of scripts with which a submit command
    would run something there, or read a file.

    `job_id` is a pattern for job ids, by default that of the scheduler. Its named groups can be
    used in `job_id_word`, which stands for the id in commands, and in `job_options`, which are
    inserted behind the name of each command about one job; a word that names a group that an id
    does not have is left out.
    """

    show: tuple[str, ...]
    shown: str = r"([\w.-]+)"
    log: str = ""
    directives: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    job_id: str = ""
    job_id_word: str = "{job_id}"
    job_options: tuple[str, ...] = ()


class SchedulerFacts:
    """Facts about one scheduler. Those that have a default are optional."""

    # --- names

    name: ClassVar[str]
    """One word for the entry point, the folder, the transcripts and the template ``<name>.j2``."""

    title: ClassVar[str]
    """The scheduler's name as its makers write it."""

    detection: ClassVar[Detection | None] = None
    """How the scheduler is recognised on a machine; None if it must be chosen by its name."""

    # --- its commands

    tool_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables of the caller that the scheduler's commands need."""

    minimum_interval: ClassVar[float] = 2.0
    """Minimum interval between two queries in seconds, on average while something happens."""

    own_jobs_interval_s: ClassVar[float] = 15.0
    """Minimum interval between two listings of one user's jobs, which are for that user alone."""

    state_delay_s: ClassVar[float] = 30.0
    """For how many seconds a listing may still say that a job waits which runs already.

    0 if the scheduler knows that a job runs before the job itself does. A job whose secrets are
    claimed earlier than that is cancelled.
    """

    burst: ClassVar[float] = 5.0
    """Burst: how many queries may follow each other at once after an idle time."""

    accounting_delay_s: ClassVar[float] = 0.0
    """How long after the end of a job the accounting may not know of it yet, in seconds."""

    finds_all: ClassVar[bool] = False
    """Whether `find` lists jobs of all users that have the tag as their name.

    Anybody can give a job that name: where the owner is known, their jobs are taken from `tagged`.
    """

    shared: ClassVar[bool] = True
    """Whether one user may list every user's jobs."""

    this_machine: ClassVar[bool] = False
    """Whether jobs run on the machine on which they are submitted."""

    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+")
    """The form of a job id; nothing else ever reaches a command."""

    no_answer: ClassVar[re.Pattern[str]] = _NEVER
    """Found in the output of a command that failed because the scheduler did not answer."""

    refused: ClassVar[re.Pattern[str]] = _REFUSED
    """Found in the output of a submit that failed because the job is not allowed as it is.

    After a failure of another kind the job may exist: it is looked for.
    """

    launcher_rules: ClassVar[LauncherRules | None] = None
    """Rules for the launcher of a site; None if it cannot be used with this scheduler."""

    # --- what a job can ask for

    directives: ClassVar[tuple[str, ...]] = ()
    """Prefixes of comment lines in a script that are options of the submit command."""

    resource_names: ClassVar[Mapping[str, str]] = SLURM_NAMES
    """Other names of the resources that all schedulers have in common."""

    own_options: ClassVar[frozenset[str]] = frozenset()
    """Options of its own that other programs use for what all schedulers have in common."""

    bare_runtime_s: ClassVar[int] = 1
    """Seconds that a bare number stands for in a limit on the run time."""

    paired_runtime_s: ClassVar[int] = 60
    """Seconds that the first of two numbers stands for in such a limit: 60 for ``MM:SS``."""

    mpi_launcher: ClassVar[str] = "mpiexec"
    """The command that starts one program several times on the nodes of a job."""

    arrays: ClassVar[bool] = False
    """Whether one submit can make an array of jobs: see `JobRequest.elements`."""

    array_refused: ClassVar[re.Pattern[str]] = re.compile("array", re.IGNORECASE)
    """Found in the refusal of an array that may be accepted with fewer elements."""

    # --- inside a job

    job_id_variable: ClassVar[str] = ""
    """The variable in which a job finds its own id; empty if there is none."""

    index_variable: ClassVar[str] = ""
    """The variable in which an element of an array finds its index; empty if there is none."""

    array_id_variable: ClassVar[str] = ""
    """The variable in which an element of an array finds the id of the whole; empty if none."""

    no_index: ClassVar[str] = ""
    """The value of that variable in a job that is not an element of an array."""

    end_variable: ClassVar[str] = ""
    """The variable that says when a job must end, in seconds since the epoch; or empty."""

    cores_variable: ClassVar[str] = ""
    """The variable that says how many cores a job has on its first node; empty if there is none."""

    memory_variable: ClassVar[str] = ""
    """The variable that says how much memory a job has on a node, in MiB; or empty."""

    memory_per_core_variable: ClassVar[str] = ""
    """The variable that says how much memory a job has for each core, in MiB; or empty."""

    numbers_lone_jobs: ClassVar[bool] = False
    """Whether a job outside of arrays looks, to itself, like an element of one."""

    job_variables: ClassVar[re.Pattern[str]] = _NEVER
    """Matches variables of a job that a job submitted from within it must not inherit."""

    log_directive: ClassVar[re.Pattern[str]] = _NEVER
    """Finds the line of a script that says where the log goes; it has a group `path`."""

    log_job_id: ClassVar[re.Pattern[str]] = _NEVER
    """Matches what stands for the job's id in the path of a log."""

    log_is_replaced: ClassVar[bool] = False
    """Whether a job replaces the log of an earlier job, to which others append."""

    carried_values: ClassVar[re.Pattern[str]] = re.compile(r"[^\0]*")
    """Matches values that a job gets unchanged if only the variable's name is passed on."""

    # --- what others may see, and what users are told

    carrier: ClassVar[Carrier] = Carrier.ENVIRONMENT
    """The part of a job that only its owner can read, so that a secret goes there."""

    environment_readers: ClassVar[str] = "whoever this scheduler shows a job's environment to"
    """Who can read the environment of another user's job, and how; completes "read by"."""

    reasons: ClassVar[Sequence[Reason]] = ()
    """Explanations of the words with which it says why a job waits; the first match is used."""
