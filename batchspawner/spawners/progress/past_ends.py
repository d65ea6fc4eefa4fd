"""How servers ended that nobody had stopped, remembered for a day."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from ...jobs import JobState
from ..failures.causes import cause_of

if TYPE_CHECKING:
    from ...jobs import JobInfo
    from ..hub.jupyterhub import HubSpawner

_MAX_ENTRIES = 5000
_MAX_AGE_S = 86400.0

_past_ends: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

_WORDS = {
    "walltime": "the time that it had asked for was over",
    "out_of_memory": "it needed more memory than it had asked for",
    "job_cancelled": "its job was cancelled",
    "node_died": "its node failed",
    "job_preempted": "it had to make room for another job",
    "job_lost": "the scheduler has no trace of it any more",
}


def note_end(spawner: HubSpawner, status: JobInfo) -> None:
    """Remember how a server's job ended."""
    word = cause_of(status, "").word
    ended = status.state is JobState.COMPLETED
    why = _WORDS.get(word, "it was shut down" if ended else f"its job {status.describe()}")
    which = f"Your server {spawner.name}" if spawner.name else "Your server"
    text = f"{which} ended: {why} (job {status.job_id})."
    _past_ends[spawner.user.name, spawner.name] = (time.time(), text)
    while len(_past_ends) > _MAX_ENTRIES:
        _past_ends.popitem(last=False)


def forget_end(spawner: HubSpawner) -> None:
    """Forget how the server ended; called when its next start begins."""
    _past_ends.pop((spawner.user.name, spawner.name), None)


def past_end_of(user: str, name: str) -> str:
    """Return how a server ended within the last day, or an empty text."""
    moment, text = _past_ends.get((user, name), (0.0, ""))
    return text if time.time() - moment < _MAX_AGE_S else ""
