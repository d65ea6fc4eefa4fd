"""Keep what a spawner must know again after a restart of the Hub."""

from __future__ import annotations

import asyncio
from enum import Enum
from itertools import chain, repeat
from typing import Any
from weakref import WeakKeyDictionary

from ..failures.spawn_failure import SpawnFailure
from .lookup import hub_spawner

_PATIENCE = (1.0, 5.0, 20.0)
"""Seconds between the tries to write to a database that takes nothing; the last one is repeated."""

_SOON = 1.0
"""Seconds for which what is to be written soon may wait for what others have to write."""

_UNWRITTEN = "the Hub's database does not take the state of the job, it is tried again: %s"
_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, set[Any]] = WeakKeyDictionary()
_unwritten: WeakKeyDictionary[Any, asyncio.Future[None]] = WeakKeyDictionary()


class JobStatus(Enum):
    """Name the four answers of `query_job_status`, as configurations and subclasses know them."""

    NOTFOUND = 0
    RUNNING = 1
    PENDING = 2
    UNKNOWN = 3


STATE_KEYS = (
    "job_id",
    "job_status",
    "job_tag",
    "job_host",
    "job_port",
    "reported_host",
    "reported_port",
    "unconfirmed_port",
    "job_claim",
    "job_log",
    "job_log_begins",
    "submitted_at",
    "waited",
    "story",
)
"""Attributes of the spawner that its saved state holds, each only where it is not empty."""


def saved_state(spawner: Any) -> dict[str, Any]:
    """Return the part of the saved state that is about the job."""
    return {key: getattr(spawner, key) for key in STATE_KEYS if getattr(spawner, key)}


def restore_state(spawner: Any, state: dict[str, Any]) -> None:
    """Set the spawner's attributes from a saved state; a key that it lacks is emptied."""
    traits = spawner.traits()
    for key in STATE_KEYS:
        setattr(spawner, key, state.get(key, traits[key].default(spawner)))
    if spawner.reported_port:
        # A job reports once; who reads this is another Hub process than the one that heard it.
        spawner.port = spawner.reported_port


def commit_state(spawner: Any) -> None:
    """Write the spawner's state to the Hub's database now.

    JupyterHub itself writes it only after `start` has returned; a Hub that dies before would
    forget the job. A database that does not take it, locked or away, is tried until it does.
    """
    problem = _write(spawner)
    if problem is not None and spawner not in _unwritten:
        spawner.log.error("%s: %s", hub_spawner(spawner)._log_name, _UNWRITTEN % problem)
        _unwritten[spawner] = asyncio.ensure_future(_write_later(spawner))


def commit_soon(spawner: Any) -> None:
    """Write the spawner's state to the Hub's database before long, together with those of others.

    For what a restarted Hub would only miss in what it tells. Each commit holds up all that the
    Hub does, and when hundreds of servers start, each of them has some news every second.
    """
    loop = asyncio.get_running_loop()
    waiting = _waiting.setdefault(loop, set())
    if not waiting:
        loop.call_later(_SOON, _commit_all, waiting)
    waiting.add(spawner)


def _commit_all(waiting: set[Any]) -> None:
    from sqlalchemy.orm import object_session

    last_of = {}
    for one in waiting:
        session = object_session(one.orm_spawner) if one.orm_spawner is not None else None
        # What was stopped meanwhile has no news, and may have no row any more.
        if one.job_id and session is not None:
            one.orm_spawner.state = hub_spawner(one).get_state()
            last_of[session] = one
    waiting.clear()
    for one in last_of.values():
        commit_state(one)


async def store_state(spawner: Any) -> None:
    """Write the spawner's state, and wait for it. Raises SpawnFailure where it cannot be had."""
    for pause in (*_PATIENCE, None):
        problem = _write(spawner)
        if problem is None:
            return
        spawner.log.warning("%s: %s", hub_spawner(spawner)._log_name, _UNWRITTEN % problem)
        if pause is not None:
            await asyncio.sleep(pause)
    raise SpawnFailure(
        "The Hub's database takes no entries just now, so nothing was submitted. Try again later; "
        "if it stays so, tell the administrator."
    )


async def _write_later(spawner: Any) -> None:
    try:
        for pause in chain(_PATIENCE, repeat(_PATIENCE[-1])):
            await asyncio.sleep(pause)
            if _write(spawner) is None:
                spawner.log.info("%s: its state is stored now", hub_spawner(spawner)._log_name)
                return
    finally:
        del _unwritten[spawner]


def _write(spawner: Any) -> BaseException | None:
    """Write the state; return what the database said where it did not take it."""
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.orm import object_session

    orm_spawner = spawner.orm_spawner
    if orm_spawner is None:
        return None
    session = object_session(orm_spawner)
    try:
        orm_spawner.state = hub_spawner(spawner).get_state()
        if session is not None:
            session.commit()
    except OperationalError as error:
        if session is not None:
            session.rollback()
        # Not SQLAlchemy's own words, which have all that was to be written in them.
        return error.orig or error
    return None
