"""Writing the state of servers into the Hub's database, while they start and later.

JupyterHub itself writes it only after `start` has returned; a Hub that dies before that would
forget the job.
"""

from __future__ import annotations

import asyncio
import math
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from jupyterhub import orm
from sqlalchemy import bindparam, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.attributes import set_committed_value

from ...message import Message
from ..failures.spawn_failure import SpawnFailure
from .database import end_failed_transaction, said_by, session_of
from .jupyterhub import hub_spawner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from .jupyterhub import JobSpawner, SpawnerRow

_RETRY_INTERVALS_S = (1.0, 5.0, 20.0)
"""Time before each further try to write to a database that is locked; the last one is repeated."""

_COLLECT_S = 1.0
"""Time for which a write of `commit_later` waits for those of other servers."""

_COMMIT_INTERVAL_S = 0.05
"""Time between two commits that servers share: when one starts alone, it waits for none."""

_UNWRITTEN = "the Hub's database does not take the state of the job, it is tried again: %s"

_TABLE = orm.Spawner.__table__
_UPDATE = update(_TABLE).where(_TABLE.c.id == bindparam("row")).values(state=bindparam("new_state"))

_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, set[JobSpawner]] = WeakKeyDictionary()
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _SharedCommit] = WeakKeyDictionary()
_unwritten: WeakKeyDictionary[JobSpawner, asyncio.Future[None]] = WeakKeyDictionary()


def commit_state(spawner: JobSpawner) -> None:
    """Write the spawner's state to the Hub's database now.

    A database that is locked or away is tried until it takes the state.
    """
    _insist(spawner, _write([spawner]))


def commit_address(spawner: JobSpawner, host: str, port: int) -> None:
    """Record where JupyterHub reaches the server, and write it with the spawner's state now.

    At the end of any request, JupyterHub rolls back what is changed in its session by then.
    """
    spawner.server.ip, spawner.server.port = host, port
    commit_state(spawner)


def commit_shared(spawner: JobSpawner) -> asyncio.Future[str | None]:
    """Write the spawner's state to the Hub's database, and return what to wait for.

    Servers that start at the same time share the commit. A database that is locked or away is
    tried until it takes the state, but not waited for.
    """
    written = _join_commit(spawner)
    written.add_done_callback(lambda done: _insist(spawner, done.result()))
    return asyncio.shield(written)


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


async def store_state(spawner: JobSpawner) -> None:
    """Write the spawner's state, and wait for it. Raises SpawnFailure if it cannot be written.

    Servers that start at the same time share the commit.
    """
    for pause in (*_RETRY_INTERVALS_S, None):
        problem = await asyncio.shield(_join_commit(spawner))
        if problem is None:
            return
        spawner.log.warning("%s: %s", spawner.log_name, _UNWRITTEN % problem)
        if pause is not None:
            await asyncio.sleep(pause)
    raise SpawnFailure(
        Message(
            "The Hub's database takes no entries just now, so nothing was submitted. Try again "
            "later; if it stays so, tell the administrator."
        )
    )


class _SharedCommit:
    """The next commit of all servers that have something to write, and wait until it is written."""

    def __init__(self) -> None:
        self._written_at = -math.inf
        self._waiting: dict[JobSpawner, asyncio.Future[str | None]] = {}

    def join(self, spawner: JobSpawner) -> asyncio.Future[str | None]:
        """Write the spawner's state with the next commit.

        The result is what the database said if it did not take it.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_at(max(loop.time(), self._written_at + _COMMIT_INTERVAL_S), self._write)
        if spawner not in self._waiting:
            self._waiting[spawner] = loop.create_future()
        return self._waiting[spawner]

    def _write(self) -> None:
        self._written_at = asyncio.get_running_loop().time()
        waiting, self._waiting = self._waiting, {}
        try:
            problem = _write(waiting)
        except Exception:  # noqa: BLE001  (raised for the server whose state it is)
            for spawner, written in waiting.items():
                try:
                    written.set_result(_write([spawner]))
                except Exception as error:  # noqa: BLE001, PERF203
                    written.set_exception(error)
        else:
            for written in waiting.values():
                written.set_result(problem)


def _join_commit(spawner: JobSpawner) -> asyncio.Future[str | None]:
    return _shared.setdefault(asyncio.get_running_loop(), _SharedCommit()).join(spawner)


def _commit_all(waiting: set[JobSpawner]) -> None:
    """Write the states of all servers in one commit, or try it again later."""
    # A server that was stopped meanwhile has no job any more.
    spawners = {one for one in waiting if one.job.id}
    waiting.clear()
    problem = _write(spawners)
    if problem is not None:
        some = next(iter(spawners))
        some.log.warning("%d servers: %s", len(spawners), _UNWRITTEN % problem)
        waiting.update(spawners)
        asyncio.get_running_loop().call_later(_RETRY_INTERVALS_S[-1], _commit_all, waiting)


def _insist(spawner: JobSpawner, problem: str | None) -> None:
    """Try again until the database takes the spawner's state, if it has had a problem with it."""
    if problem is not None and spawner not in _unwritten:
        spawner.log.error("%s: %s", spawner.log_name, _UNWRITTEN % problem)
        _unwritten[spawner] = asyncio.ensure_future(_write_later(spawner))


async def until_stored(spawner: JobSpawner) -> None:
    """Wait until the database has taken the last state, if it has not yet."""
    if (unwritten := _unwritten.get(spawner)) is not None:
        await asyncio.shield(unwritten)


async def _write_later(spawner: JobSpawner) -> None:
    try:
        for pause in chain(_RETRY_INTERVALS_S, repeat(_RETRY_INTERVALS_S[-1])):
            await asyncio.sleep(pause)
            if _write([spawner]) is None:
                spawner.log.info("%s: its state is stored now", spawner.log_name)
                return
    finally:
        del _unwritten[spawner]


def _write(spawners: Iterable[JobSpawner]) -> str | None:
    """Write the states in one commit; return what the database said if it did not take them.

    Raises what a spawner's `get_state` raises; then nothing is written.
    """
    # A server that was stopped meanwhile may have no row any more.
    rows = [(one, row) for one in spawners if (row := one.orm_spawner) is not None]
    sessions = {session for _, row in rows if (session := session_of(row)) is not None}
    try:
        for session in sessions:
            end_failed_transaction(session)
        states = [(row, hub_spawner(one).get_state()) for one, row in rows]
        for session in sessions:
            _commit(session, [one for one in states if session_of(one[0]) is session])
    except SQLAlchemyError as error:
        for session in sessions:
            session.rollback()
        return said_by(error)
    for row, state in states:
        if session_of(row) is None:
            row.state = state
    return None


def _commit(session: Session, states: list[tuple[SpawnerRow, dict[str, Any]]]) -> None:
    """Write states, and commit all that the session has. Raises SQLAlchemyError.

    SQLAlchemy needs three times as long to find out itself which columns of which rows have
    changed; a start is stored several times, and the Hub does nothing else meanwhile.
    """
    new = [{"row": row.id, "new_state": state} for row, state in states]
    session.connection().execute(_UPDATE, new)
    for row, state in states:
        set_committed_value(row, "state", state)
    session.commit()
