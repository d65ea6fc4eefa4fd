"""Jobs as values that all schedulers share: what is submitted, and what is known of a job.

`JobRequest` goes to a scheduler's submit command; `JobInfo`, with a `JobState`, is what queries
return. See `client.BatchClient` for an example.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from .message import Joined, Message
from .private_environment import PrivateEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobState(Enum):
    """The states of a job, whatever its scheduler calls them.

    A value is a phrase for people; configuration and files use the names. UNKNOWN is a state that
    this library does not know: a job in it is never taken to have ended.
    """

    PENDING = "pending"
    HELD = "held"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETING = "completing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out of memory"
    NODE_FAIL = "node failed"
    PREEMPTED = "preempted"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the job will never run (again)."""
        return self in _FINAL

    @property
    def is_waiting(self) -> bool:
        """Whether the job has not started yet."""
        return self in (JobState.PENDING, JobState.HELD)


_FINAL = frozenset(
    {
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.TIMEOUT,
        JobState.OUT_OF_MEMORY,
        JobState.NODE_FAIL,
        JobState.PREEMPTED,
    }
)


@dataclass(frozen=True)
class JobInfo:
    """Status of one job as the scheduler reported it at one moment.

    Times are seconds since the epoch, None if they are not known. `start` is when the job started;
    `expected_start` is the scheduler's own estimate for a waiting job. `end` is when a running job
    will reach its walltime, or when an ended job ended.

    `native` is the scheduler's own word for the state, and `reason` its explanation, such as why a
    job waits. `host` is the name of the node that runs the job's script, as the scheduler spells
    it. `queue` is the queue, partition or job class. `name` and `comment` are those of the submit.
    `exit_code` is that of the script, and `signal` the one that ended it, None if not known.

    `gone` is true if the scheduler has no trace of the job any more, so that nobody can know how
    it ended; then `state` is UNKNOWN, and the job counts as ended.
    """

    job_id: str
    state: JobState
    native: str = ""
    reason: str = ""
    host: str = ""
    queue: str = ""
    name: str = ""
    comment: str = ""
    start: float | None = None
    expected_start: float | None = None
    end: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    gone: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self.gone or self.state.is_final

    @property
    def succeeded(self) -> bool:
        """Whether the job ended by itself with exit status 0."""
        return self.state is JobState.COMPLETED and not self.exit_code and not self.signal

    def describe(self) -> Message:
        """Return the state and what explains it, as a phrase for people.

        Such as ``pending (Resources)``, ``failed (exit status 3)``, ``gone without a trace``.
        """
        if self.gone:
            return Message("gone without a trace")
        details = [text for text in (self.reason,) if text and text.lower() != "none"]
        if self.signal:
            details.append(Message("signal %(number)s", number=self.signal))
        elif self.exit_code:
            details.append(Message("exit status %(number)s", number=self.exit_code))
        words = Message(self.state.value)
        if self.state is JobState.UNKNOWN and self.native:
            words = Message("unknown (%(state)s)", state=self.native)
        if not details:
            return words
        return Message("%(state)s (%(details)s)", state=words, details=Joined(", ", details))


@dataclass(frozen=True)
class TaggedJob:
    """One job in a listing of all users' jobs, with the text in which its tag is.

    `owner` is a user's name, empty if the listing has the caller's own jobs only. Owners can write
    any `text`, so what is done to a job because of it must be done as the owner.
    """

    job_id: str
    owner: str
    text: str


@dataclass(frozen=True)
class JobRequest:
    """One job to submit.

    `script` is the whole job script: its first line names an interpreter, and directives follow.
    `tag` is a unique word by which the job is found again if the answer to the submit is lost; it
    has only characters of ``A-Za-z0-9._-``. Without it, a submit that had no answer cannot be
    resolved. `environment` is added to what the submit command gets anyway, and `arguments` are
    added to its command line. With more than one of `elements`, the job is an array, and each
    element runs the script.

    Neither the script nor a value of the environment is shown when a request is printed::

        JobRequest("#!/bin/bash\\n#SBATCH --time=10\\nhostname\\n", tag=f"try-{uuid4().hex}")
    """

    script: str = field(repr=False)
    tag: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    elements: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", PrivateEnvironment(self.environment))
