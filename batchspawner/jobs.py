"""Say what a job is asked to be, and what it is: plain values that every scheduler shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from .private import PrivateEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping


class JobState(Enum):
    """Name the states of a job, whatever its scheduler calls them."""

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
        """True where the job will never run again."""
        return self in _FINAL

    @property
    def is_waiting(self) -> bool:
        """True where the job has not started yet."""
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
    """Hold what a scheduler says about one job at one moment.

    Times are seconds since the epoch. `end` is when a running job reaches its walltime, or when
    an ended one ended; `expected_start` is the scheduler's own estimate for a waiting job.
    `host` is the name of the node that runs the job's script, as the scheduler spells it.
    `native` is the scheduler's own word for the state. `gone` says that the scheduler has no
    trace of the job any more, so that how it ended cannot be known.
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
        """True where the job has ended, in whatever way."""
        return self.gone or self.state.is_final

    @property
    def succeeded(self) -> bool:
        """True where the job ended by itself with exit status 0."""
        return self.state is JobState.COMPLETED and not self.exit_code and not self.signal

    def describe(self) -> str:
        """Return the state and what explains it, as a phrase for people."""
        if self.gone:
            return "gone without a trace"
        details = [text for text in (self.reason,) if text and text.lower() != "none"]
        if self.signal:
            details.append(f"signal {self.signal}")
        elif self.exit_code:
            details.append(f"exit status {self.exit_code}")
        words = self.state.value
        if self.state is JobState.UNKNOWN and self.native:
            words = f"unknown ({self.native})"
        return f"{words} ({', '.join(details)})" if details else words


@dataclass(frozen=True)
class TaggedJob:
    """Hold whose job it is, and the free text of it that holds its tag.

    `owner` is empty where the listing only has the caller's own jobs. The text can be written by
    the owner: what is done to a job because of it is done as the owner.
    """

    job_id: str
    owner: str
    text: str


@dataclass(frozen=True)
class JobRequest:
    """Hold what is handed to a scheduler's submit command.

    `script` is the whole job script, directives included. `tag` is a word that finds the job
    again when the answer to the submit was lost: letters, digits, ``-``, ``_`` and ``.`` only.
    `environment` is what the submit command has in its environment besides what the
    scheduler's tools need. `arguments` go to the submit command as they are. More than one
    of `elements` make an array, whose elements all run the script. Neither the script nor a value
    of the environment shows when a request is printed.
    """

    script: str = field(repr=False)
    tag: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    elements: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", PrivateEnvironment(self.environment))
