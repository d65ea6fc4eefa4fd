"""What servers do when the world around them fails; tests/hub does it to real schedulers."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.orm import object_session

from batchspawner.jobs import JobState
from batchspawner.spawners.backends import backend
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.hub import state_writer
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import (
    give_back,
    lose_connection,
    make_spawner,
    make_spawners,
    start,
    stored_state,
    take_away,
)
from tests.spawners.test_life import begin, serve, until
from tests.virtualtime import VirtualLoop

FAST = {"FakeSpawner": {"startup_poll_interval": 0.01}}
IDLE = {"startup_poll_interval": 2.0, "poll_interval": 30.0}


async def start_all(spawners, cluster) -> None:
    """Start servers, and let each serve as soon as its job is there."""
    starts = [asyncio.ensure_future(start(one)) for one in spawners]
    for port, one in enumerate(spawners, 2000):
        while not one.job_id:
            await asyncio.sleep(0.01)
        cluster.run(one.job_id)
        one.receive_report(port)
    await asyncio.gather(*starts)


async def test_five_hundred_starts_at_once_are_submitted_eight_at_a_time_and_all_come_up(cluster):
    spawners = make_spawners(FakeSpawner, 500, **IDLE)
    inside = []
    handle = cluster.handle

    async def counted(verb, *more):
        inside.append(verb)
        peaks.append(inside.count("submit"))
        try:
            return await handle(verb, *more)
        finally:
            inside.remove(verb)

    cluster.handle, cluster.delay, peaks = counted, 0.01, []
    starting = asyncio.ensure_future(start_all(spawners, cluster))
    await until(lambda: spawners[-1].job.progress)
    assert spawners[-1].backend.describe().text == (
        "Submitting the job to Fake. 491 other submits come first"
    )
    await asyncio.wait_for(starting, 60)
    assert max(peaks) == 8
    assert cluster.commands.count("submit") == len({one.job_id for one in spawners}) == 500
    assert sorted(one.job_port for one in spawners) == list(range(2000, 2500))
    for one in spawners:
        one.clear_state()


async def test_an_end_is_told_over_a_new_connection_if_that_to_the_database_was_lost(
    cluster, tmp_path
):
    spawner = make_spawner(FakeSpawner, FAST, database=str(tmp_path / "hub.sqlite"))
    await serve(spawner, cluster)
    cluster.set(spawner.job_id, JobState.FAILED, exit_code=3)
    await until(lambda: spawner.backend.status.is_final)
    lose_connection(spawner)
    assert await spawner.poll() == 3
    # JupyterHub, which is told of an end, stores it at once, and is stuck if that fails.
    object_session(spawner.orm_spawner).execute(text("select name from users")).all()


async def test_a_start_ends_when_the_database_has_taken_what_it_has_refused(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(state_writer, "_RETRY_INTERVALS_S", (0.01, 0.02))
    spawner = make_spawner(FakeSpawner, FAST, database=str(tmp_path / "hub.sqlite"))
    starting = await begin(spawner)
    with closing(sqlite3.connect(tmp_path / "hub.sqlite", isolation_level=None)) as other:
        other.execute("begin immediate")
        cluster.run(spawner.job_id)
        spawner.receive_report(4321)
        await until(lambda: spawner.job.port)
        # JupyterHub stores the server as soon as this is done, and is stuck if that fails.
        await asyncio.sleep(0.5)
        assert not starting.done()
    assert await asyncio.wait_for(starting, 60) == ("node1", 4321)
    assert stored_state(spawner)["job_port"] == 4321


async def test_an_end_is_told_only_when_the_database_answers_again(cluster, tmp_path):
    database = tmp_path / "hub.sqlite"
    spawner = make_spawner(FakeSpawner, FAST, database=str(database))
    await serve(spawner, cluster)
    cluster.set(spawner.job_id, JobState.FAILED, exit_code=3)
    await until(lambda: spawner.backend.status.is_final)
    session = object_session(spawner.orm_spawner)
    session.rollback()
    session.get_bind().dispose()
    take_away(database)
    assert await spawner.poll() is None
    give_back(database)
    assert await spawner.poll() == 3


def test_a_scheduler_that_is_down_for_ten_minutes_loses_none_of_a_hundred_servers(cluster):
    async def ten_minutes() -> None:
        spawners = make_spawners(FakeSpawner, 100, **IDLE)
        await start_all(spawners, cluster)
        before = [stored_state(one) for one in spawners]
        cluster.down = True
        for _ in range(20):
            await asyncio.sleep(30)
            assert [await one.poll() for one in spawners] == [None] * 100
        assert spawners[0].backend.client.watch(spawners[0].job_id).unanswered_for > 500
        cluster.down = False
        cluster.set(spawners[7].job_id, JobState.FAILED, exit_code=3)
        # As long as a query may have to wait that follows many in vain.
        await asyncio.sleep(140)
        assert [await one.poll() for one in spawners] == [None] * 7 + [3] + [None] * 92
        assert [stored_state(one) for one in spawners] == before
        for one in spawners:
            one.clear_state()

    with_virtual_time(ten_minutes())


def with_virtual_time(work) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def test_a_job_that_is_cancelled_while_its_server_starts_ends_the_start(spawner, cluster):
    task = await begin(spawner)
    cluster.run("1")
    await until(lambda: spawner.backend.status and spawner.backend.status.host)
    cluster.set("1", JobState.CANCELLED, reason="by an operator", start=1.0)
    with pytest.raises(SpawnFailure, match=r"cancelled \(by an operator\).* Job 1\."):
        await asyncio.wait_for(task, 5)


async def test_a_job_that_dies_after_its_report_ends_the_start_at_once(
    spawner, cluster, monkeypatch
):
    async def no_answer(*_, **__):
        return "refused"

    monkeypatch.setattr(backend, "probe", no_answer)
    task = await begin(spawner)
    cluster.run("1")
    spawner.receive_report(4321)
    await until(lambda: spawner.job_port)
    cluster.set("1", JobState.FAILED, exit_code=127, start=1.0)
    with pytest.raises(SpawnFailure, match="A command was not found on its node"):
        await asyncio.wait_for(task, 5)


async def test_a_job_that_is_started_again_before_its_server_answers_is_followed(
    spawner, cluster, monkeypatch
):
    asked = []

    async def probe(host, port, **_):
        asked.append((host, port))
        return "" if (host, port) == ("node2", 5555) else "refused"

    monkeypatch.setattr(backend, "probe", probe)
    task = await begin(spawner)
    cluster.run("1")
    spawner.receive_report(4321)
    await until(lambda: asked)
    cluster.set("1", JobState.PENDING, reason="requeued")
    await until(lambda: spawner.backend.status.state is JobState.PENDING)
    await until(lambda: not spawner.job_port)
    asked.clear()
    cluster.run("1", host="node2")
    await until(lambda: spawner.backend.status.host == "node2")
    assert not asked, "where the job was, somebody else may listen now"
    spawner.receive_report(5555)
    assert await asyncio.wait_for(task, 5) == ("node2", 5555)
    assert (spawner.job_host, spawner.job_port) == ("node2", 5555)
    assert (spawner.server.ip, spawner.server.port) == ("node2", 5555)


async def test_the_end_of_a_job_that_does_not_report_is_told_within_two_intervals(spawner, cluster):
    task = await begin(spawner)
    cluster.run("1")
    await until(lambda: spawner.backend.status and spawner.backend.status.host)
    cluster.set("1", JobState.FAILED, exit_code=1, start=1.0)
    asked = cluster.commands.count("query")
    with pytest.raises(SpawnFailure):
        await asyncio.wait_for(task, 5)
    assert cluster.commands.count("query") - asked <= 2


async def test_a_server_that_answers_late_is_waited_for(spawner, cluster, monkeypatch):
    answers = iter(["refused"] * 5)

    async def probe(*_, **__):
        return next(answers, "")

    monkeypatch.setattr(backend, "probe", probe)
    assert await serve(spawner, cluster) == ("node1", 4321)
    assert next(answers, None) is None
