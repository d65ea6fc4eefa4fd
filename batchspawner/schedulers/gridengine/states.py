"""States of jobs of Grid Engine, and what explains them."""

from __future__ import annotations

from ...jobs import JobState
from ..reasons import ASK_SUPPORT, Reason

# Explanations of the texts of `reason_of`.
REASONS = (
    Reason(
        r"its start failed",
        "its start on a node failed, and Grid Engine has stopped it",
        f"Stop this server and start it again. {ASK_SUPPORT}",
        forever=True,
    ),
    Reason(
        r"on hold",
        "it is on hold, or waits for another job to end",
        "If you have put it on hold, release it (qrls); else ask the support of this cluster.",
    ),
)


def state_of(native: str) -> JobState:
    """Return the state of a code such as ``qw``, ``Eqw``, ``dr`` or ``hRwq``.

    https://manpages.debian.org/bookworm/gridengine-client/qstat.1 ("Output formats", state)
    """
    codes = set(native)
    if not codes or codes - {code for code, _ in _STATE_CODES}:
        return JobState.UNKNOWN
    for code, state in _STATE_CODES:
        if code in codes:
            return state
    return JobState.UNKNOWN


# In order of precedence: a deleted job may still run, a held one still waits.
_STATE_CODES = (
    ("z", JobState.COMPLETED),
    ("d", JobState.COMPLETING),
    ("E", JobState.HELD),
    ("s", JobState.SUSPENDED),
    ("S", JobState.SUSPENDED),
    ("T", JobState.SUSPENDED),
    ("N", JobState.SUSPENDED),
    ("P", JobState.SUSPENDED),
    ("r", JobState.RUNNING),
    # Being sent to its node: it may run there already.
    ("t", JobState.RUNNING),
    ("h", JobState.HELD),
    ("q", JobState.PENDING),
    ("w", JobState.PENDING),
    ("R", JobState.PENDING),
)


def reason_of(native: str) -> str:
    """Return why a job of this state does not run, empty if there is nothing to say."""
    if "E" in native:
        return f"its start failed ({native}); qstat -j tells why, qmod -cj tries again"
    return "on hold, or waiting for another job" if "h" in native and "r" not in native else ""
