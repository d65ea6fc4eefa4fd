"""The exceptions that this library raises on purpose, in one tree.

    BatchError
    ├── SchedulerError            a scheduler's command did not do what was asked; has .result
    │   ├── CommandNotFound       the command is not on this machine
    │   ├── SubmitError           the job was refused; .transient says whether to try again
    │   ├── SchedulerUnavailable  no answer: says nothing about any job, always transient
    │   └── ParseError            an answer in a form that is not known here
    ├── JobFailed                 a job did not succeed; has .status and .log_tail
    │   ├── JobTimeout            it reached its walltime
    │   ├── JobOutOfMemory
    │   ├── JobCancelled
    │   ├── JobPreempted
    │   └── NodeFailed
    ├── JobLost                   the scheduler has no trace of the job
    ├── ConnectionFailed          a cluster cannot be reached over ssh
    ├── TemplateError             a job-script template is missing or not valid
    └── OptionsError              a value is not allowed; says which one, and what is allowed

The text of each is written for the person who reads it: what happened, on which job, and, of a
command that failed, the command with what it printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .message import Message
from .short_traceback import notebook_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .commands import CommandResult
    from .jobs import JobInfo


class BatchError(Exception):
    """The root of everything that this library raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of the error, which it asks for this."""
        return notebook_lines(self)


class SchedulerError(BatchError):
    """A scheduler's command failed.

    `result` is what it printed and its exit status, None if it was never run. `transient` is true
    if the same call may succeed later. `kind` is a word by which metrics count errors.
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
    """The command is not on this machine, or may not be run by this user."""

    kind = "no_command"


class SubmitError(SchedulerError):
    """The scheduler refused a job; there is none.

    `transient` is true if the same job may be accepted later, such as below a limit of jobs.
    """

    kind = "refused"

    def __init__(
        self, message: str, result: CommandResult | None = None, *, transient: bool = False
    ) -> None:
        super().__init__(message, result)
        self.transient = transient


class SchedulerUnavailable(SchedulerError):
    """The scheduler did not answer: nothing is known about any of its jobs."""

    transient = True
    kind = "no_answer"


class ParseError(SchedulerError):
    """The scheduler answered in a form that this library does not know."""


class JobFailed(BatchError):
    """A job ended without success.

    `status` is its last status, `log_tail` the end of what it printed, as far as that is known.
    """

    def __init__(self, status: JobInfo, log_tail: str = "") -> None:
        self.status = status
        self.log_tail = log_tail
        super().__init__(status, log_tail)

    def __str__(self) -> str:
        text = f"job {self.status.job_id} ended: {self.status.describe()}"
        return f"{text}\n{self.log_tail}" if self.log_tail else text


class JobTimeout(JobFailed):
    """The job reached its walltime."""


class JobOutOfMemory(JobFailed):
    """The job used more memory than it had requested."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""


class JobPreempted(JobFailed):
    """The job was preempted by another one."""


class NodeFailed(JobFailed):
    """The node of the job failed."""


class JobLost(BatchError):
    """The scheduler has no trace of a job, although its id is valid."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(job_id)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is gone: neither the queue nor the accounting knows it. "
            "It may have ended long ago, or the scheduler may have lost its state."
        )


class ConnectionFailed(BatchError):
    """A cluster, or the host in between, cannot be reached over ssh."""


class TemplateError(BatchError):
    """A job-script template is missing, not valid, or uses a variable that is undefined."""


class OptionsError(BatchError):
    """A value is not allowed.

    `option` is the name of the option, `given` the value, `allowed` a phrase that says what is
    allowed, `label` the name of the option in a form, if it has one.
    """

    def __init__(self, option: str, given: object, allowed: str, label: str = "") -> None:
        self.option = option
        self.given = given
        self.allowed = allowed
        self.label = label
        super().__init__(option, given, allowed, label)

    @property
    def message(self) -> Message:
        """The text, which can be shown in its reader's language."""
        return Message(
            "%(option)s: %(given)s is not allowed; %(allowed)s",
            option=f"{self.label} ({self.option})" if self.label else self.option,
            given=repr(self.given),
            allowed=self.allowed if isinstance(self.allowed, Message) else Message(self.allowed),
        )

    def __str__(self) -> str:
        return str(self.message)


def in_words(error: Exception) -> str:
    """Return the text of an error, with its type unless it was raised on purpose."""
    if isinstance(error, (BatchError, RuntimeError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"


def failure_of(status: JobInfo, log_tail: str = "") -> BatchError | None:
    """Return the exception that describes how a job ended, None if it succeeded.

    It is returned, not raised::

        if error := failure_of(await client.wait(job_id)):
            raise error

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
