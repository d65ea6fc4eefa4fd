"""Writing the state of servers into the Hub's database, while they start and later.

JupyterHub itself writes it only after `start` has returned; a Hub that dies before that would
forget the job.
"""

from __future__ import annotations

import asyncio
from itertools import chain, repeat
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import object_session

from ..failures.spawn_failure import SpawnFailure
from .jupyterhub import hub_spawner

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from .jupyterhub import JobSpawner

_RETRY_INTERVALS_S = (1.0, 5.0, 20.0)
"""Time before each further try to write to a database that is locked; the last one is repeated."""

_COLLECT_S = 1.0
"""Time for which a write of `commit_later` waits for those of other servers."""

_UNWRITTEN = "the Hub's database does not take the state of the job, it is tried again: %s"
_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, set[JobSpawner]] = WeakKeyDictionary()
_unwritten: WeakKeyDictionary[JobSpawner, asyncio.Future[None]] = WeakKeyDictionary()


def commit_state(spawner: JobSpawner) -> None:
    """Write the spawner's state to the Hub's database now.

    A database that is locked or away is tried until it takes the state.
    """
    problem = _write(spawner)
    if problem is not None and spawner not in _unwritten:
        spawner.log.error("%s: %s", spawner.log_name, _UNWRITTEN % problem)
        _unwritten[spawner] = asyncio.ensure_future(_write_later(spawner))


def commit_later(spawner: JobSpawner) -> None:
    """Write the spawner's state to the Hub's database shortly, together with those of others.

    For what a restarted Hub would only miss in what it shows. Each commit blocks the whole Hub,
    and when hundreds of servers start, each of them has something new every second.
    """
    loop = asyncio.get_running_loop()
    waiting = _waiting.setdefault(loop, set())
    if not waiting:
        loop.call_later(_COLLECT_S, _commit_all, waiting)
    waiting.add(spawner)


def _commit_all(waiting: set[JobSpawner]) -> None:
    last_of: dict[Session, JobSpawner] = {}
    for one in waiting:
        row = one.orm_spawner
        session = object_session(row) if row is not None else None
        # A server that was stopped meanwhile may have no row any more.
        if row is not None and one.job.id and session is not None:
            row.state = hub_spawner(one).get_state()
            last_of[session] = one
    waiting.clear()
    for one in last_of.values():
        commit_state(one)


async def store_state(spawner: JobSpawner) -> None:
    """Write the spawner's state, and wait for it. Raises SpawnFailure if it cannot be written."""
    for pause in (*_RETRY_INTERVALS_S, None):
        problem = _write(spawner)
        if problem is None:
            return
        spawner.log.warning("%s: %s", spawner.log_name, _UNWRITTEN % problem)
        if pause is not None:
            await asyncio.sleep(pause)
    raise SpawnFailure(
        "The Hub's database takes no entries just now, so nothing was submitted. Try again later; "
        "if it stays so, tell the administrator."
    )


async def _write_later(spawner: JobSpawner) -> None:
    try:
        for pause in chain(_RETRY_INTERVALS_S, repeat(_RETRY_INTERVALS_S[-1])):
            await asyncio.sleep(pause)
            if _write(spawner) is None:
                spawner.log.info("%s: its state is stored now", spawner.log_name)
                return
    finally:
        del _unwritten[spawner]


def _write(spawner: JobSpawner) -> BaseException | None:
    """Write the state; return what the database said if it did not take it."""
    row = spawner.orm_spawner
    if row is None:
        return None
    session = object_session(row)
    try:
        row.state = hub_spawner(spawner).get_state()
        if session is not None:
            session.commit()
    except OperationalError as error:
        if session is not None:
            session.rollback()
        # Not SQLAlchemy's own words, which contain all that was to be written.
        return error.orig or error
    return None
