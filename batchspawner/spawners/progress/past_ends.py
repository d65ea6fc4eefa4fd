"""How servers ended that nobody had stopped, or did not start, remembered for a day.

A Hub that is started again finds it in the saved state of the server, in its database.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...jobs import JobState
from ...message import Joined, Message
from ..failures.causes import cause_of
from ..failures.spawn_failure import SpawnFailure
from ..hub.jupyterhub import server_name, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...jobs import JobInfo
    from ..hub.jupyterhub import HubSpawner

_MAX_ENTRIES = 5000
_MAX_AGE_S = 86400.0

_STATE_KEY = "past_end"

_past_ends: OrderedDict[tuple[str, str], tuple[float, Message]] = OrderedDict()

_MEANINGS = {
    "walltime": Message("the time that it had asked for was over"),
    "out_of_memory": Message("it needed more memory than it had asked for"),
    "job_cancelled": Message("its job was cancelled"),
    "node_died": Message("its node failed"),
    "job_preempted": Message("it had to make room for another job"),
    "job_lost": Message("the scheduler has no trace of it any more"),
}


def note_end(spawner: HubSpawner, status: JobInfo) -> None:
    """Remember how a server's job ended."""
    word = cause_of(status, "").word
    ended = status.state is JobState.COMPLETED
    why: str | None = _MEANINGS.get(word)
    if why is None and ended:
        why = Message("it was shut down")
    elif why is None:
        why = Message("its job %(state)s", state=status.describe())
    _note(
        spawner,
        Message(
            "%(server)s ended: %(reason)s (job %(job)s).",
            server=_server(spawner),
            reason=why,
            job=status.job_id,
        ),
    )


@contextmanager
def noting_failure(spawner: HubSpawner) -> Iterator[None]:
    """Remember why the start in the block failed, if that is known, and forget what was before."""
    _past_ends.pop(_key(spawner), None)
    try:
        yield
    except SpawnFailure as failure:
        details = failure.details
        if details.cause.title:
            told = Message(
                "%(server)s has not started. %(reason)s",
                server=_server(spawner),
                reason=details.cause.title,
            )
            job = [Message("Job %(job)s.", job=details.job_id)] if details.job_id else []
            _note(spawner, Joined(" ", [told, *job]))
        raise


def _server(spawner: HubSpawner) -> Message:
    if name := server_name(spawner):
        return Message("Your server %(name)s", name=name)
    return Message("Your server")


def _key(spawner: HubSpawner) -> tuple[str, str]:
    return user_name(spawner), server_name(spawner)


def _note(spawner: HubSpawner, text: Message) -> None:
    _past_ends[_key(spawner)] = (time.time(), text)
    while len(_past_ends) > _MAX_ENTRIES:
        _past_ends.popitem(last=False)


def past_end_of(user: str, name: str) -> Message:
    """Return how a server ended, or why it has not started, within the last day; else nothing."""
    return _if_recent(*_past_ends.get((user, name), (0.0, Message(""))))


def end_to_state(spawner: HubSpawner) -> dict[str, Any]:
    """Return what is saved of how a server ended: when, in seconds since the epoch, and the text.

    It is in English, as all that a later process of the Hub reads.
    """
    if not past_end_of(*_key(spawner)):
        return {}
    moment, text = _past_ends[_key(spawner)]
    return {_STATE_KEY: [moment, str(text)]}


def end_in_state(state: Mapping[str, Any] | None) -> Message:
    """Return the same from the saved state of a server, for a Hub that was started again."""
    saved = (state or {}).get(_STATE_KEY)
    if isinstance(saved, list) and [type(one) for one in saved] in ([float, str], [int, str]):
        return _if_recent(saved[0], Message(saved[1]))
    return Message("")


def _if_recent(moment: float, text: Message) -> Message:
    return text if time.time() - moment < _MAX_AGE_S else Message("")
