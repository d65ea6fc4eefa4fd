"""The base class of all schedulers.

No code below this package does input or output: a scheduler builds a command and parses its
output. It starts no process, opens no file, knows nothing of Jupyter, and needs only the standard
library.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from ..errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from .facts import Carrier, Detection, LauncherRules
from .reasons import explain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..commands import Command, CommandResult
    from ..jobs import JobInfo, JobRequest, TaggedJob
    from ..queues import Queue, Reservation
    from .reasons import Explanation, Reason

    Listing = Mapping[str, JobInfo]
    """What one query returns: the status of each job that it lists, by job id."""

__all__ = ["Carrier", "Detection", "LauncherRules", "Scheduler"]

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


class Scheduler(ABC):
    """Commands of one scheduler and the parsers of their output.

    Everything that is specific to a scheduler is an attribute or a method of its class. Those
    below that have a default are optional.

    Objects are values: two with the same settings are equal and hashable, so that all users of
    the same scheduler share one query.
    """

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

    burst: ClassVar[float] = 5.0
    """Burst: how many queries may follow each other at once after an idle time."""

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

    numbers_lone_jobs: ClassVar[bool] = False
    """Whether a job outside of arrays looks, to itself, like an element of one."""

    job_variables: ClassVar[re.Pattern[str]] = _NEVER
    """Matches variables of a job that a job submitted from within it must not inherit."""

    log_directive: ClassVar[re.Pattern[str]] = _NEVER
    """Finds the line of a script that says where the log goes; it has a group `path`."""

    log_job_id: ClassVar[re.Pattern[str]] = _NEVER
    """Matches what stands for the job's id in the path of a log."""

    carried_values: ClassVar[re.Pattern[str]] = re.compile(r"[^\0]*")
    """Matches values that a job gets unchanged if only the variable's name is passed on."""

    # --- what others may see, and what users are told

    carrier: ClassVar[Carrier] = Carrier.ENVIRONMENT
    """The part of a job that only its owner can read, so that a secret goes there."""

    environment_readers: ClassVar[str] = "whoever this scheduler shows a job's environment to"
    """Who can read the environment of another user's job, and how; completes "read by"."""

    reasons: ClassVar[Sequence[Reason]] = ()
    """Explanations of the words with which it says why a job waits; the first match is used."""

    # --- jobs

    @abstractmethod
    def submit(self, request: JobRequest) -> Command[str]:
        """Submit a job; the answer is its id. Raises SubmitError for a job that is refused."""

    @abstractmethod
    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        """Query all these jobs, with as few commands as possible, mostly one.

        A job that is missing in the answer may have ended: `confirm` finds out.
        Raises SchedulerUnavailable if the scheduler did not answer.
        """

    @abstractmethod
    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        """Query other sources about a job that a listing did not contain, best source first.

        The answer None means that this source does not know the job.
        """

    @abstractmethod
    def find(self, tag: str) -> Command[list[str]]:
        """List the ids of the jobs, waiting or running, that carry this tag."""

    def find_elsewhere(self, tag: str) -> Command[list[str]] | None:  # noqa: ARG002
        """List the ids of the jobs with this tag in the other clusters that `find` leaves out.

        None if there are no others.
        """
        return None

    @abstractmethod
    def cancel(self, job_id: str) -> Command[None]:
        """Cancel a job, waiting or running. A job that has ended already is no error."""

    def signal(self, job_id: str, number: int) -> Command[None]:
        """Send a signal to the processes of a running job.

        Raises SchedulerError if the scheduler has no command for that.
        """
        raise SchedulerError(f"{self.title} cannot send signal {number} to job {job_id}.")

    def tagged(self) -> Command[list[TaggedJob]] | None:
        """List all users' jobs, waiting or running, with the text that may contain their tag.

        None if the scheduler has no such listing.
        """
        return None

    def element(self, job_id: str, index: str) -> str:  # noqa: ARG002
        """Return the id of the element of an array that found this index in its environment."""
        return job_id

    def on_node(self, node: str, command: str, job_id: str = "") -> tuple[str, ...] | None:  # noqa: ARG002
        """Return the command that runs a shell command on a node of a running job, or None.

        Without a job id, the job is the one that we run in; without a node, any node of the job.
        """
        return None

    # --- the site

    def availability(self) -> Command[list[Queue]] | None:
        """List the queues, their limits and their free nodes; None if that is not known."""
        return None

    def accounts(self) -> Command[Mapping[str, tuple[str, ...]]] | None:
        """List the accounts of every user, by the user's name; None if that is not known."""
        return None

    def reservations(self) -> Command[list[Reservation]] | None:
        """List all reservations; None if that is not known."""
        return None

    def ahead(self) -> Command[Mapping[str, int]] | None:
        """Count, for each waiting job, the jobs that wait before it in its queue.

        None if the scheduler does not show the order.
        """
        return None

    def core_usage(self) -> Command[Mapping[str, tuple[str, int]]] | None:
        """List, for each waiting job, its limit and how many cores its user has under that limit.

        None if the scheduler has no such listing.
        """
        return None

    def core_limits(self) -> Command[Mapping[str, int]] | None:
        """List how many cores one user may have under each limit; None if that is not known."""
        return None

    # --- scripts

    def option(self, name: str, value: object) -> str:
        """Return an option of the scheduler's own as a line of options in a job script.

        `value` is True for an option without a value. An empty text means that the scheduler has
        no such options.
        """
        option = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if value is True:
            return option
        return f"{option} {value}" if len(name) == 1 else f"{option}={value}"

    def dependencies(self, jobs: Mapping[str, Sequence[str]]) -> str | None:  # noqa: ARG002
        """Return the options by which a job waits for others, None if it cannot wait for these.

        `jobs` are the ids to wait for, by Slurm's words: after, afterany, afterok, afternotok,
        and singleton, which has no ids.
        """
        return None

    def warning(self, resources: Mapping[str, object]) -> str:  # noqa: ARG002
        """Return what the user should know who asks for these resources; mostly nothing."""
        return ""

    def embedded(self, command: str) -> str:
        """Return a shell command as it is written into the job script."""
        return command

    def bringing(self, script: str, path: str) -> str:  # noqa: ARG002
        """Return the script of a job that takes along a file from its owner's home.

        It is the same script if the nodes share the homes anyway.
        """
        return script

    @classmethod
    def identity(cls) -> dict[str, str]:
        """Return how a job finds its id, its index and its end: see `agent.job_identity`."""
        return {
            "job_id": cls.job_id_variable,
            "index": cls.index_variable,
            "no_index": cls.no_index,
            "end": cls.end_variable,
        }

    # --- answers

    @classmethod
    def answered(cls, result: CommandResult) -> None:
        """Check that a command succeeded.

        Raises SchedulerUnavailable if it had no answer, SchedulerError if it was refused.
        """
        if result.ok:
            return
        if cls.no_answer.search(result.text):
            raise SchedulerUnavailable(f"{cls.title} did not answer.", result)
        raise SchedulerError(f"{result.argv[0]} failed.", result)

    @classmethod
    def accepted(cls, result: CommandResult, *, transient: bool = False) -> None:
        """Check that a submit succeeded. Raises SubmitError for a refusal."""
        try:
            cls.answered(result)
        except SchedulerUnavailable:
            raise
        except SchedulerError as error:
            text = f"{cls.title} refused the job."
            raise SubmitError(text, result, transient=transient) from error

    @classmethod
    def printed_id(cls, result: CommandResult, *patterns: re.Pattern[str]) -> str:
        """Return the job id in the output of a submit, where it has a line of its own.

        Sites print notices before and behind it. The first of the patterns with which one id is
        found counts. Raises ParseError for none, or for several.
        """
        lines = [line.strip() for line in result.stdout.splitlines()]
        for pattern in (*patterns, cls.job_id_pattern):
            found = {line for line in lines if pattern.fullmatch(line)}
            if len(found) == 1:
                return found.pop()
        raise ParseError(f"{result.argv[0]} printed no job id.", result)

    def refuses_array(self, error: SubmitError) -> bool:
        """Check whether a smaller array may be accepted than the one that was refused."""
        text = error.result.text if error.result else error.message
        return bool(self.array_refused.search(text))

    @classmethod
    def explain(cls, reason: str) -> Explanation:
        """Return in plain words why a job waits, and what its owner can do."""
        return explain(cls.reasons, reason)

    def checked(self, job_id: str) -> str:
        """Return a job id unchanged. Raises ValueError if it does not have the scheduler's form."""
        if not self.job_id_pattern.fullmatch(job_id):
            raise ValueError(
                f"{job_id!r} is not a job id of {self.title}, which look like "
                f"/{self.job_id_pattern.pattern}/"
            )
        return job_id
