"""Say what went wrong, in one tree of exceptions.

BatchError
├── SchedulerError            a scheduler's command did not do what was asked; carries .result
│   ├── CommandNotFound       the command is not on this machine
│   ├── SubmitError           the job was refused; .transient says whether trying again can help
│   ├── SchedulerUnavailable  no answer: says nothing about any job, always transient
│   └── ParseError            an answer in a form that we do not know
├── JobFailed                 a job that was waited for failed; carries .status and .log_tail
│   ├── JobTimeout            it reached its walltime
│   ├── JobOutOfMemory
│   ├── JobCancelled
│   ├── JobPreempted
│   └── NodeFailed
├── JobLost                   the scheduler has no trace of the job
├── ConnectionFailed          a cluster cannot be reached over ssh
├── TemplateError             a job-script template is missing, or a variable in it is undefined
└── OptionsError              a value is not allowed; says which, and what is
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .commands import CommandResult
    from .jobs import JobInfo


class BatchError(Exception):
    """Be the root of everything that this library raises on purpose."""


class SchedulerError(BatchError):
    """Report a scheduler's command that failed, with what it printed.

    ``transient`` is true where the same call may succeed later; ``kind`` is a word for those who
    count.
    """

    transient = False
    kind = "not_understood"

    def __init__(self, message: str, result: CommandResult | None = None) -> None:
        self.message = message
        self.result = result
        super().__init__(message)

    def __str__(self) -> str:
        if self.result is None:
            return self.message
        return f"{self.message}\n{self.result.describe()}"


class CommandNotFound(SchedulerError):
    """Report a command that this machine does not have."""

    kind = "no_command"


class SubmitError(SchedulerError):
    """Report a job that the scheduler refused."""

    kind = "refused"

    def __init__(
        self, message: str, result: CommandResult | None = None, *, transient: bool = False
    ) -> None:
        super().__init__(message, result)
        self.transient = transient


class SchedulerUnavailable(SchedulerError):
    """Report a scheduler that did not answer: nothing is known about any of its jobs."""

    transient = True
    kind = "no_answer"


class ParseError(SchedulerError):
    """Report an answer in a form that this library does not know."""


class JobFailed(BatchError):
    """Report a job that ended without success."""

    def __init__(self, status: JobInfo, log_tail: str = "") -> None:
        self.status = status
        self.log_tail = log_tail
        super().__init__(status, log_tail)

    def __str__(self) -> str:
        text = f"job {self.status.job_id} ended: {self.status.describe()}"
        return f"{text}\n{self.log_tail}" if self.log_tail else text


class JobTimeout(JobFailed):
    """Report a job that reached its walltime."""


class JobOutOfMemory(JobFailed):
    """Report a job that used more memory than it had asked for."""


class JobCancelled(JobFailed):
    """Report a job that somebody cancelled."""


class JobPreempted(JobFailed):
    """Report a job that had to make room for another."""


class NodeFailed(JobFailed):
    """Report a job whose node died."""


class JobLost(BatchError):
    """Report a job of which the scheduler has no trace, though its id was right."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(job_id)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is gone: neither the queue nor the accounting knows it. "
            "It may have ended long ago, or the scheduler may have lost its state."
        )


class ConnectionFailed(BatchError):
    """Report a cluster, or the host in between, that cannot be reached."""


class TemplateError(BatchError):
    """Report a job-script template that cannot be found or rendered."""


class OptionsError(BatchError):
    """Report a value that is not allowed."""

    def __init__(self, option: str, given: object, allowed: str, label: str = "") -> None:
        self.option = option
        self.given = given
        self.allowed = allowed
        self.label = label
        super().__init__(option, given, allowed, label)

    def __str__(self) -> str:
        name = f"{self.label} ({self.option})" if self.label else self.option
        return f"{name}: {self.given!r} is not allowed; {self.allowed}"


def failure_of(status: JobInfo, log_tail: str = "") -> BatchError | None:
    """Return the exception that describes how a job ended, or None where it succeeded.

    Raises ValueError for a job that has not ended.
    """
    if not status.is_final:
        raise ValueError(f"job {status.job_id} has not ended: {status.describe()}")
    if status.gone:
        return JobLost(status.job_id)
    if status.succeeded:
        return None
    return _FAILURES.get(status.state.name, JobFailed)(status, log_tail)


_FAILURES: Mapping[str, type[JobFailed]] = {
    "TIMEOUT": JobTimeout,
    "OUT_OF_MEMORY": JobOutOfMemory,
    "CANCELLED": JobCancelled,
    "PREEMPTED": JobPreempted,
    "NODE_FAIL": NodeFailed,
}
