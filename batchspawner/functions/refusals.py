"""Refused calls: what to do about them, without a traceback through this library."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..errors import BatchError, CommandNotFound, SchedulerUnavailable, SubmitError
from ..short_traceback import add_note, install_hook

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_CLUSTER = (
    "Without a cluster, use the embedded queue: BATCHSPAWNER_SCHEDULER=local in the environment, "
    'set_dispatcher(BatchDispatcher("local")) or Executor("local").'
)
_LATER = "Try it again later: the scheduler accepts no more jobs now."
_CORRECT = "Correct what it names, in slurmify(…), with_options(…) or Executor(…), and try again."


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Explain the error with which a block, or a decorated function, refuses a call."""
    try:
        yield
    except BatchError as error:
        explain(error)
        raise


def explain(error: BaseException) -> None:
    """Add what to do to the error of a call that was refused.

    If nobody catches it, the program ends with a traceback up to the line of the caller.
    """
    if not isinstance(error, BatchError):
        return
    install_hook(BatchError)
    advice = advice_for(error)
    if advice:
        add_note(error, advice)


def advice_for(error: BatchError) -> str:
    """Return what to do about a call that was not submitted; empty if the error says it."""
    if isinstance(error, (SchedulerUnavailable, CommandNotFound)):
        return _NO_CLUSTER
    if isinstance(error, SubmitError):
        return _LATER if error.transient else _CORRECT
    return ""
