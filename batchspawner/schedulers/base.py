"""The base class of all schedulers.

No code below this package does input or output: a scheduler builds a command and parses its
output. It starts no process, opens no file, knows nothing of Jupyter, and needs only the standard
library.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ..errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from .facts import Carrier, Detection, LauncherRules, SchedulerFacts
from .reasons import explain

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Mapping, Sequence

    from ..commands import Command, CommandResult
    from ..jobs import JobInfo, JobRequest, TaggedJob
    from ..queues import Queue, Reservation
    from .reasons import Explanation

    Listing = Mapping[str, JobInfo]
    """What one query returns: the status of each job that it lists, by job id."""

__all__ = ["Carrier", "Detection", "LauncherRules", "Scheduler"]


class Scheduler(SchedulerFacts, ABC):
    """Commands of one scheduler and the parsers of their output.

    Everything that is specific to a scheduler is an attribute or a method of its class. The
    methods below that have a default are optional.

    Objects are values: two with the same settings are equal and hashable, so that all users of
    the same scheduler share one query.
    """

    # --- jobs

    @abstractmethod
    def submit(self, request: JobRequest) -> Command[str]:
        """Submit a job; the answer is its id. Raises SubmitError for a job that is refused."""

    def usual_options(
        self,
        environment: Mapping[str, str],  # noqa: ARG002
        request: JobRequest,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """Return the submit options that users have set in their environment for all their jobs.

        An option that the request has already is left out.
        """
        return ()

    @abstractmethod
    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        """Query all these jobs, with as few commands as possible, mostly one.

        A job that is missing in the answer may have ended: `confirm` finds out.
        Raises SchedulerUnavailable if the scheduler did not answer.
        """

    def query_each(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:  # noqa: ARG002
        """Query a few jobs without a listing of all, each command naming its jobs in `jobs`.

        A job that the scheduler does not know (any more) is missing in the answer, which is no
        error. No commands if that costs the scheduler no less than `query`.
        """
        return ()

    def query_owner(self, owner: str, job_ids: Collection[str]) -> Command[Listing] | None:  # noqa: ARG002
        """Query these jobs, which all belong to one user, in a listing of that user's jobs.

        None if that costs the scheduler no less than `query`.
        """
        return None

    @abstractmethod
    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        """Query other sources about a job that a listing did not contain, best source first.

        The answer None means that this source does not know the job.
        """

    def follow(self, status: JobInfo) -> Sequence[Command[JobInfo | None]] | None:  # noqa: ARG002
        """Query the place to which a source says that a job was moved, best command first.

        No commands if the source does not say where that is. None if the job was not moved.
        """
        return None

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

    def own_jobs(self, owner: str) -> Command[list[JobInfo]] | None:  # noqa: ARG002
        """List the jobs of the caller, a user of this name, waiting or running, with their names.

        Elements of an array may be listed one by one. None if the scheduler has no such listing.
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

    def expected_start(self, request: JobRequest) -> Command[float | None] | None:  # noqa: ARG002
        """Ask when a job would start, in seconds since the epoch, without submitting it.

        The answer is 0 for at once, None for a later time that the scheduler does not know. No
        command if the scheduler cannot say. Raises SubmitError for a job that would be refused.
        """
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
        """Return how a job finds its id, its index, its end and what it has.

        See `agent.job_identity` and `agent.job_limits`.
        """
        return {
            "job_id": cls.job_id_variable,
            "index": cls.index_variable,
            "no_index": cls.no_index,
            "end": cls.end_variable,
            "cores": cls.cores_variable,
            "memory_mib": cls.memory_variable,
            "memory_mib_per_core": cls.memory_per_core_variable,
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
