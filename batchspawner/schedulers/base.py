"""Define what every scheduler can be asked.

The rule of this folder: no input, no output. A scheduler builds a command and reads its answer;
it starts no process, opens no file and knows nothing of Jupyter. Standard library only.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from ..errors import SchedulerError, SchedulerUnavailable, SubmitError
from .reasons import explain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..commands import Command, CommandResult
    from ..jobs import JobInfo, JobRequest, TaggedJob
    from ..queues import Queue, Reservation
    from .reasons import Explanation, Reason

    Listing = Mapping[str, JobInfo]
    """What one query says: the status of each job that it names, by job id."""


class Carrier(Enum):
    """Name the ways by which a secret can reach a job."""

    ENVIRONMENT = "environment"
    """The environment of the submit command."""
    SCRIPT = "script"
    """The text of the job script."""
    FILE = "file"
    """A file that only its owner can read, in his home, which the nodes share."""


class Scheduler(ABC):
    """Build one scheduler's commands, each with the reader of its answer.

    Objects are values: two with the same settings are equal and hashable, so that whoever asks
    the same scheduler shares one query.
    """

    name: ClassVar[str]
    """One word, used everywhere: this module, the template, the transcripts, the entry point."""

    title: ClassVar[str]
    """The scheduler's name as its makers write it."""

    tool_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables of the caller that the scheduler's commands need."""

    minimum_interval: ClassVar[float] = 2.0
    """Seconds between two queries at least, on average where something happens."""

    burst: ClassVar[float] = 5.0
    """How many queries may follow each other at once after a calm, where something happens."""

    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+")
    """The form of a job id; nothing else ever reaches a command."""

    no_answer: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")
    """What a command says that failed because the scheduler did not answer."""

    shared: ClassVar[bool] = True
    """Whether one user may list every user's jobs."""

    carrier: ClassVar[Carrier] = Carrier.ENVIRONMENT
    """What of a job this scheduler lets nobody but its owner read, so that a secret goes there."""

    environment_readers: ClassVar[str] = "whoever this scheduler shows a job's environment to"
    """Who can read the environment of somebody else's job, and how, as a phrase for people."""

    job_id_variable: ClassVar[str] = ""
    """The variable in which a job finds its own id; empty where there is none."""

    numbers_lone_jobs: ClassVar[bool] = False
    """Whether a job outside of arrays looks, to itself, like an element of one."""

    reasons: ClassVar[Sequence[Reason]] = ()
    """What its words for why a job waits mean; the first that fits is taken."""

    arrays: ClassVar[bool] = False
    """Whether one submit can make an array of jobs: see `JobRequest.elements`."""

    array_refused: ClassVar[re.Pattern[str]] = re.compile("array", re.IGNORECASE)
    """What a refusal says where a smaller array may be accepted."""

    def refuses_array(self, error: SubmitError) -> bool:
        """Say whether a smaller array may be accepted than the one that was refused."""
        said = error.result.text if error.result else error.message
        return bool(self.array_refused.search(said))

    def bringing(self, script: str, path: str) -> str:  # noqa: ARG002
        """Return the script of a job that takes along a file of its owner's home.

        The same script where the nodes share the homes anyway.
        """
        return script

    @abstractmethod
    def submit(self, request: JobRequest) -> Command[str]:
        """Hand over a job; the answer is its id. Raises SubmitError where it is refused."""

    def element(self, job_id: str, index: str) -> str:  # noqa: ARG002
        """Return the id of the element of an array that found this index where it runs."""
        return job_id

    @abstractmethod
    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        """Ask for all these jobs in as few commands as there can be, mostly one.

        A job that the answer does not name may have ended; `confirm` tells.
        Raises SchedulerUnavailable where the scheduler did not answer.
        """

    @abstractmethod
    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        """Ask other sources about a job that a query did not name, best source first.

        The answer None says that this source does not know the job.
        """

    @abstractmethod
    def find(self, tag: str) -> Command[list[str]]:
        """List the ids of the jobs, waiting or running, that carry this tag."""

    def tagged(self) -> Command[list[TaggedJob]] | None:
        """List everybody's jobs, waiting or running, with what may hold their tag.

        None where the scheduler has no such listing.
        """
        return None

    def availability(self) -> Command[list[Queue]] | None:
        """List the queues, their limits and what is free in them.

        None where this is not known of the scheduler.
        """
        return None

    def accounts(self) -> Command[Mapping[str, tuple[str, ...]]] | None:
        """List the accounts of every user, by the user's name; None where that is not known."""
        return None

    def reservations(self) -> Command[list[Reservation]] | None:
        """List all reservations; None where that is not known."""
        return None

    def ahead(self) -> Command[Mapping[str, int]] | None:
        """Count, for each job that waits, those that wait before it in its queue.

        None where the scheduler does not tell the order.
        """
        return None

    def core_usage(self) -> Command[Mapping[str, tuple[str, int]]] | None:
        """Tell of each waiting job under which limit it is, and how many cores its user has there.

        None where the scheduler has no such listing.
        """
        return None

    def core_limits(self) -> Command[Mapping[str, int]] | None:
        """Tell how many cores one user may have under each limit; None where that is not known."""
        return None

    @abstractmethod
    def cancel(self, job_id: str) -> Command[None]:
        """End a job, waiting or running. One that has ended already is no error."""

    def signal(self, job_id: str, number: int) -> Command[None]:
        """Send a signal to the processes of a running job.

        Raises SchedulerError where the scheduler has no command for that.
        """
        raise SchedulerError(f"{self.title} cannot send signal {number} to job {job_id}.")

    @classmethod
    def answered(cls, result: CommandResult) -> None:
        """Return where a command succeeded.

        Raises SchedulerUnavailable where it had no answer, SchedulerError where it was refused.
        """
        if result.ok:
            return
        if cls.no_answer.search(result.text):
            raise SchedulerUnavailable(f"{cls.title} did not answer.", result)
        raise SchedulerError(f"{result.argv[0]} failed.", result)

    @classmethod
    def accepted(cls, result: CommandResult, *, transient: bool = False) -> None:
        """Return where a submit succeeded; a refusal is a SubmitError."""
        try:
            cls.answered(result)
        except SchedulerUnavailable:
            raise
        except SchedulerError as error:
            text = f"{cls.title} refused the job."
            raise SubmitError(text, result, transient=transient) from error

    @classmethod
    def explain(cls, reason: str) -> Explanation:
        """Return in plain words why a job waits, and what its owner can do."""
        return explain(cls.reasons, reason)

    def embedded(self, command: str) -> str:
        """Return a shell command as it is written into the job script."""
        return command

    def on_node(self, node: str, command: str, job_id: str = "") -> tuple[str, ...] | None:  # noqa: ARG002
        """Return what runs a shell command on a node of a running job, None if nothing.

        Without a job's id it is the job around us, without a node any of its nodes.
        """
        return None

    def checked(self, job_id: str) -> str:
        """Return a job id as it is. Raises ValueError where it has not this scheduler's form."""
        if not self.job_id_pattern.fullmatch(job_id):
            raise ValueError(
                f"{job_id!r} is not a job id of {self.title}, which look like "
                f"/{self.job_id_pattern.pattern}/"
            )
        return job_id
