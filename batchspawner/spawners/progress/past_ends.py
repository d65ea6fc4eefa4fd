"""Remember for a while how servers ended that nobody had stopped."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from ...jobs import JobState
from ..failures.causes import cause_of

if TYPE_CHECKING:
    from ...jobs import JobInfo

_KEPT = 5000
_DAY = 86400.0

_endings: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

_WORDS = {
    "walltime": "the time that it had asked for was over",
    "out_of_memory": "it needed more memory than it had asked for",
    "job_cancelled": "its job was cancelled",
    "node_died": "its node failed",
    "job_preempted": "it had to make room for another job",
    "job_lost": "the scheduler has no trace of it any more",
}


def note_end(spawner: Any, status: JobInfo) -> None:
    """Remember how a server's job ended."""
    word = cause_of(status, "").word
    ended = status.state is JobState.COMPLETED
    why = _WORDS.get(word, "it was shut down" if ended else f"its job {status.describe()}")
    which = f"Your server {spawner.name}" if spawner.name else "Your server"
    text = f"{which} ended: {why} (job {status.job_id})."
    _endings[spawner.user.name, spawner.name] = (time.time(), text)
    while len(_endings) > _KEPT:
        _endings.popitem(last=False)


def forget_end(spawner: Any) -> None:
    """Forget how the last server ended: another one starts."""
    _endings.pop((spawner.user.name, spawner.name), None)


def ending_of(user: str, name: str) -> str:
    """Return what is remembered, not older than a day, or nothing."""
    moment, text = _endings.get((user, name), (0.0, ""))
    return text if time.time() - moment < _DAY else ""
