"""What is stored of a job, and what happens when the Hub's database takes nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest
from jupyterhub import orm
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import object_session

from batchspawner import SlurmSpawner
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.hub import state_writer
from batchspawner.spawners.hub.jupyterhub import hub_spawner
from batchspawner.spawners.progress.log import append
from tests.spawners.site import (
    give_back,
    lose_connection,
    make_spawner,
    make_spawners,
    stored_state,
    take_away,
)


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A spawner, and a lock that somebody else holds on its database."""
    monkeypatch.setattr(state_writer, "_RETRY_INTERVALS_S", (0.01, 0.02))
    spawner = make_spawner(SlurmSpawner, database=str(tmp_path / "hub.sqlite"))
    other = sqlite3.connect(tmp_path / "hub.sqlite", isolation_level=None)
    other.execute("begin immediate")
    yield spawner, other
    other.close()


async def test_a_locked_database_gets_the_state_of_the_job_later(locked):
    spawner, other = locked
    spawner.job_id = "17"
    state_writer.commit_state(spawner)
    state_writer.commit_state(spawner)
    assert stored_state(spawner) == {}
    other.execute("rollback")
    await asyncio.wait_for(state_writer._unwritten[spawner], 5)
    assert stored_state(spawner) == {"job_id": "17"}


async def test_the_progress_of_many_servers_is_written_in_one_commit(monkeypatch):
    monkeypatch.setattr(state_writer, "_COLLECT_S", 0.05)
    *spawners, stopped = make_spawners(SlurmSpawner, 4)
    written = []
    event.listen(object_session(stopped.orm_spawner), "after_commit", lambda _: written.append(1))
    for number, one in enumerate([*spawners, stopped], 1):
        one.job_id = str(number)
        append(one, 10, "It is submitted")
        append(one, 20, "It waits")
    stopped.clear_state()
    await asyncio.sleep(0.2)
    assert written == [1]
    told = [[10, "It is submitted"], [20, "It waits"]]
    states = [stored_state(one) for one in spawners]
    assert all(0 < stage.pop() <= time.time() for state in states for stage in state["story"])
    assert states == [{"job_id": str(number), "story": told} for number in (1, 2, 3)]
    assert stored_state(stopped) == {}


async def test_servers_that_start_at_the_same_time_share_their_commits(monkeypatch):
    monkeypatch.setattr(state_writer, "_COMMIT_INTERVAL_S", 0.05)
    spawners = make_spawners(SlurmSpawner, 4)
    written = []
    event.listen(
        object_session(spawners[0].orm_spawner), "after_commit", lambda _: written.append(1)
    )
    spawners[0].job_id = "1"
    await state_writer.store_state(spawners[0])
    for number, one in enumerate(spawners, 1):
        one.job_id = str(number)
    # Who has to be stored before a submit, and who only will be, in the same commit.
    soon = [state_writer.commit_shared(one) for one in spawners[2:]]
    await asyncio.gather(*(state_writer.store_state(one) for one in spawners[:2]), *soon)
    assert written == [1, 1]
    assert [stored_state(one)["job_id"] for one in spawners] == ["1", "2", "3", "4"]


async def test_a_server_whose_state_cannot_be_stored_stops_no_other(monkeypatch):
    good, bad = make_spawners(SlurmSpawner, 2)
    good.job_id = bad.job_id = "1"

    def get_state():
        raise KeyError("odd")

    monkeypatch.setattr(bad, "get_state", get_state)
    stores = [state_writer.store_state(one) for one in (bad, good)]
    failed, stored = await asyncio.gather(*stores, return_exceptions=True)
    assert (type(failed), stored) == (KeyError, None)
    assert stored_state(good) == {"job_id": "1"}


async def test_what_was_to_be_written_soon_is_written_later_if_the_database_is_locked(locked):
    spawner, other = locked
    spawner.job_id = "17"
    assert str(await state_writer.commit_shared(spawner)) == "database is locked"
    assert stored_state(spawner) == {}
    other.execute("rollback")
    await asyncio.wait_for(state_writer._unwritten[spawner], 5)
    assert stored_state(spawner) == {"job_id": "17"}


async def test_a_locked_database_puts_nothing_of_the_state_into_the_log(locked, caplog):
    spawner, _ = locked
    # A wrapper's state has the environments of its profiles, another's may have anything.
    spawner.job_status = "hunter2"
    with pytest.raises(SpawnFailure):
        await state_writer.store_state(spawner)
    said = [record.getMessage() for record in caplog.records]
    assert said[-1].endswith("it is tried again: database is locked")
    assert "hunter2" not in caplog.text


async def test_nothing_is_submitted_that_the_database_does_not_know_of(locked):
    spawner, _ = locked
    spawner.job.prepared({}, tag="jh-0123456789ab")
    with pytest.raises(SpawnFailure, match="nothing was submitted"):
        await state_writer.store_state(spawner)
    assert stored_state(spawner) == {}


async def test_a_submit_waits_for_a_database_that_is_locked_for_a_moment(locked):
    spawner, other = locked
    spawner.job.prepared({}, tag="jh-0123456789ab")
    asyncio.get_running_loop().call_later(0.06, other.execute, "rollback")
    await state_writer.store_state(spawner)
    assert stored_state(spawner) == {"job_tag": "jh-0123456789ab"}


def fail_elsewhere(spawner) -> None:
    """Leave the session as a write of JupyterHub does that the database has not taken."""
    session = object_session(spawner.orm_spawner)
    session.expire_all()
    spawner.orm_spawner.user.last_activity = orm.utcnow()
    with pytest.raises(OperationalError):
        session.flush()


async def test_a_state_is_stored_though_another_write_of_the_hub_has_failed(locked):
    spawner, other = locked
    fail_elsewhere(spawner)
    other.execute("rollback")
    spawner.job_id = "17"
    state_writer.commit_state(spawner)
    assert stored_state(spawner) == {"job_id": "17"}


async def test_a_server_has_its_name_in_the_log_though_another_write_of_the_hub_has_failed(locked):
    spawner, _ = locked
    name = spawner.log_name
    fail_elsewhere(spawner)
    assert spawner.log_name == name


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A spawner whose Hub has a database in a file."""
    monkeypatch.setattr(state_writer, "_RETRY_INTERVALS_S", (0.01, 0.02))
    return make_spawner(SlurmSpawner, database=str(tmp_path / "hub.sqlite"))


async def test_a_state_is_stored_though_the_connection_to_the_database_was_lost(stored):
    lose_connection(stored)
    stored.job_id = "17"
    state_writer.commit_state(stored)
    await asyncio.wait_for(state_writer._unwritten[stored], 5)
    assert stored_state(stored) == {"job_id": "17"}


async def test_a_submit_goes_on_though_the_connection_to_the_database_was_lost(stored):
    lose_connection(stored)
    stored.job.prepared({}, tag="jh-0123456789ab")
    await state_writer.store_state(stored)
    assert stored_state(stored) == {"job_tag": "jh-0123456789ab"}


async def test_progress_is_written_though_the_connection_to_the_database_was_lost(
    stored, monkeypatch
):
    monkeypatch.setattr(state_writer, "_COLLECT_S", 0.01)
    stored.job_id = "17"
    lose_connection(stored)
    state_writer.commit_later(stored)
    while state_writer._waiting[asyncio.get_running_loop()]:
        await asyncio.sleep(0.01)
    assert stored_state(stored) == {"job_id": "17"}


async def test_a_server_has_its_name_in_the_log_though_the_database_is_away(stored, tmp_path):
    database, session = tmp_path / "hub.sqlite", object_session(stored.orm_spawner)
    stored.user.spawners = {"": stored}
    name = stored.log_name
    # As after a write that has failed: what is read from now on is read from the database.
    session.expire_all()
    session.get_bind().dispose()
    take_away(database)
    with pytest.raises(OperationalError):
        str(stored.name)
    assert stored.log_name == name
    assert hub_spawner(stored) is stored
    stored.job_id = "17"
    state_writer.commit_state(stored)
    give_back(database)
    await asyncio.wait_for(state_writer._unwritten[stored], 5)
    assert stored_state(stored) == {"job_id": "17"}


async def test_progress_is_written_again_after_the_database_was_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(state_writer, "_COLLECT_S", 0.01)
    monkeypatch.setattr(state_writer, "_RETRY_INTERVALS_S", (0.01, 0.02))
    spawners = make_spawners(SlurmSpawner, 3, database=str(tmp_path / "hub.sqlite"))
    session = object_session(spawners[0].orm_spawner)
    with closing(sqlite3.connect(tmp_path / "hub.sqlite", isolation_level=None)) as other:
        other.execute("begin immediate")
        for number, one in enumerate(spawners, 1):
            one.job_id = str(number)
            state_writer.commit_later(one)
        # Whatever is read from now on is read from the database, after what was to be written.
        session.expire_all()
        refused = asyncio.Event()
        event.listen(session, "after_rollback", lambda _: refused.set())
        await refused.wait()
    while state_writer._waiting[asyncio.get_running_loop()]:
        await asyncio.sleep(0.01)
    assert [stored_state(one) for one in spawners] == [{"job_id": str(n)} for n in (1, 2, 3)]
