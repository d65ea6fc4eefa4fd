"""What is stored of a job, and what happens when the Hub's database takes nothing."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from sqlalchemy import event
from sqlalchemy.orm import object_session

from batchspawner import SlurmSpawner
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.hub import commit
from batchspawner.spawners.progress.log import append
from tests.spawners.site import make_spawner, make_spawners, stored_state


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A spawner, and a lock that somebody else holds on its database."""
    monkeypatch.setattr(commit, "_RETRY_INTERVALS_S", (0.01, 0.02))
    spawner = make_spawner(SlurmSpawner, database=str(tmp_path / "hub.sqlite"))
    other = sqlite3.connect(tmp_path / "hub.sqlite", isolation_level=None)
    other.execute("begin immediate")
    yield spawner, other
    other.close()


async def test_a_locked_database_gets_the_state_of_the_job_later(locked):
    spawner, other = locked
    spawner.job_id = "17"
    commit.commit_state(spawner)
    commit.commit_state(spawner)
    assert stored_state(spawner) == {}
    other.execute("rollback")
    await asyncio.wait_for(commit._unwritten[spawner], 5)
    assert stored_state(spawner) == {"job_id": "17"}


async def test_the_progress_of_many_servers_is_written_in_one_commit(monkeypatch):
    monkeypatch.setattr(commit, "_COLLECT_S", 0.05)
    *spawners, stopped = make_spawners(SlurmSpawner, 4)
    written = []
    event.listen(object_session(stopped.orm_spawner), "after_flush", lambda *_: written.append(1))
    for number, one in enumerate([*spawners, stopped], 1):
        one.job_id = str(number)
        append(one, 10, "It is submitted")
        append(one, 20, "It waits")
    stopped.clear_state()
    await asyncio.sleep(0.2)
    assert written == [1]
    told = [[10, "It is submitted"], [20, "It waits"]]
    assert [stored_state(one) for one in spawners] == [
        {"job_id": str(number), "story": told} for number in (1, 2, 3)
    ]
    assert stored_state(stopped) == {}


async def test_a_locked_database_puts_nothing_of_the_state_into_the_log(locked, caplog):
    spawner, _ = locked
    # A wrapper's state has the environments of its profiles, another's may have anything.
    spawner.job_status = "hunter2"
    with pytest.raises(SpawnFailure):
        await commit.store_state(spawner)
    said = [record.getMessage() for record in caplog.records]
    assert said[-1].endswith("it is tried again: database is locked")
    assert "hunter2" not in caplog.text


async def test_nothing_is_submitted_that_the_database_does_not_know_of(locked):
    spawner, _ = locked
    spawner.job.prepared({}, tag="jh-0123456789ab")
    with pytest.raises(SpawnFailure, match="nothing was submitted"):
        await commit.store_state(spawner)
    assert stored_state(spawner) == {}


async def test_a_submit_waits_for_a_database_that_is_locked_for_a_moment(locked):
    spawner, other = locked
    spawner.job.prepared({}, tag="jh-0123456789ab")
    asyncio.get_running_loop().call_later(0.06, other.execute, "rollback")
    await commit.store_state(spawner)
    assert stored_state(spawner) == {"job_tag": "jh-0123456789ab"}
