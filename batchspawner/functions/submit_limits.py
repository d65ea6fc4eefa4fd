"""Limits that keep a program with a mistake from flooding the scheduler."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BatchError
from .protocol.worker import IN_JOB

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger(__name__)


class TooManyDispatchesError(BatchError, RuntimeError):
    """Error of a program that tries to submit more jobs than its `limit`: nothing is submitted."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(limit)

    def __str__(self) -> str:
        return (
            f"this program has submitted {self.limit} jobs, which is its limit: so a loop with a "
            "mistake cannot flood the scheduler. Put many short calls into one job with "
            "JobBundling or Executor, or raise the limit with set_dispatch_limit(n), None for none."
        )


class _Limits:
    """Limits of this process, and the number of jobs that it has submitted."""

    limit: int | None = 100
    submitted = 0
    nested = False
    warns_of_flushes = True


def set_dispatch_limit(n: int | None) -> None:
    """Set how many jobs this program may submit from now on, None for any number.

    Without this call it is 100. The next job beyond it raises TooManyDispatchesError.
    """
    _Limits.limit, _Limits.submitted = n, 0


def allow_recursive_distribution() -> None:
    """Allow functions that run in a job to submit jobs themselves.

    Without this call, `distribute` raises RuntimeError in a job.
    """
    _Limits.nested = True


def disable_warning_on_repeated_flushes() -> None:
    """Do not warn when a `JobBundling` is flushed several times."""
    _Limits.warns_of_flushes = False


def in_job() -> bool:
    """Return whether this process runs in a job."""
    return bool(os.environ.get(IN_JOB))


def count_submit() -> None:
    """Count a job that is about to be submitted. Raises TooManyDispatchesError."""
    if _Limits.limit is not None and _Limits.submitted >= _Limits.limit:
        raise TooManyDispatchesError(_Limits.limit)
    _Limits.submitted += 1


def refuse_recursion(what: str) -> None:
    """Raise RuntimeError in a job that was not allowed to submit jobs."""
    if in_job() and not _Limits.nested:
        raise RuntimeError(
            f"{what} from within a job. Mostly that is a script without "
            "if __name__ == '__main__': around what it does. Where it is meant, call "
            "allow_recursive_distribution() first."
        )


def refuse_while_loading(what: str) -> None:
    """Raise RuntimeError while a worker loads a script: its own workers would load it again."""
    if getattr(sys.modules.get("batchspawner_worker"), "loading", False):
        raise RuntimeError(
            f"{what} while a worker loads the script, which has to find its functions only: "
            "put what the script does under if __name__ == '__main__':"
        )


def warn_of_flush(flushes: int) -> None:
    """Warn when a bundle is flushed for the second time."""
    if flushes == 2 and _Limits.warns_of_flushes:
        log.warning(
            "A bundle is flushed for the second time. Inside a loop that makes many small jobs; "
            "if it is meant, call disable_warning_on_repeated_flushes()."
        )


def node_setup(function: Function) -> Function:
    """Mark a function to be called on each node before the calls of this file.

    It is called when the job imports the file. Raises ValueError for a function with arguments.
    """
    import inspect

    if inspect.signature(function).parameters:
        raise ValueError(f"{function.__qualname__} has arguments; a node setup is called without")
    if in_job():
        function()
    return function
