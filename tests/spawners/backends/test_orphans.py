"""What becomes of jobs that no server belongs to."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

from sqlalchemy.orm import object_session

from batchspawner.client import BatchClient
from batchspawner.errors import SchedulerError
from batchspawner.jobs import JobRequest, JobState
from batchspawner.spawners.backends import orphans
from batchspawner.spawners.backends.orphans import Reaper, owned_tags
from batchspawner.spawners.hub.tags import TAG, hub_word, new_tag
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import make_spawner, make_spawners
from tests.spawners.test_life import begin, serve, until


def reaper(spawner, **settings):
    for name, value in {"orphan_grace": 0, **settings}.items():
        setattr(spawner, name, value)
    return Reaper(spawner.backend.client, spawner, object_session(spawner.orm_spawner))


async def submit(spawner, tag: str) -> str:
    return await spawner.backend.client.submit(JobRequest("#!/bin/sh\n", tag))


async def test_a_job_of_a_server_is_left_alone(spawner, cluster):
    await serve(spawner, cluster)
    await reaper(spawner).look()
    assert cluster.jobs["1"].state is JobState.RUNNING


async def test_a_job_of_this_hub_without_a_server_is_cancelled(spawner, cluster, caplog):
    job_id = await submit(spawner, new_tag(spawner))
    await reaper(spawner).look()
    assert cluster.ended[job_id].state is JobState.CANCELLED
    assert f"Job {job_id} of this user belongs to no server of this Hub" in caplog.text


async def test_jobs_of_other_hubs_and_other_people_are_left_alone(spawner, cluster):
    for tag in ("jh-ffff00000001", "my-work", f"{hub_word(spawner)}", "xjh-000000000000"):
        await submit(spawner, tag)
    await reaper(spawner).look()
    assert cluster.ended == {}


async def test_an_orphan_has_its_grace(spawner, cluster):
    job_id = await submit(spawner, new_tag(spawner))
    one = reaper(spawner, orphan_grace=0.2)
    await one.look()
    assert job_id in cluster.jobs
    await asyncio.sleep(0.25)
    await one.look()
    assert job_id in cluster.ended


async def test_an_orphan_that_cannot_be_cancelled_keeps_no_other_one_alive(
    spawner, cluster, monkeypatch, caplog
):
    first, second = [await submit(spawner, new_tag(spawner)) for _ in range(2)]
    cancel = BatchClient.cancel

    async def denied(client, job_id):
        if job_id == first:
            raise SchedulerError("permission denied")
        await cancel(client, job_id)

    monkeypatch.setattr("batchspawner.client.BatchClient.cancel", denied)
    await reaper(spawner).look()
    assert (first in cluster.jobs, second in cluster.ended) == (True, True)
    assert f"Job {first}, which belongs to no server, goes on: permission denied" in caplog.text


async def test_a_site_may_want_only_a_report(spawner, cluster, caplog):
    job_id = await submit(spawner, new_tag(spawner))
    await reaper(spawner, orphan_policy="report").look()
    assert job_id in cluster.jobs
    assert "Cancel it by hand" in caplog.text


async def test_what_a_listing_says_of_a_job_is_confirmed_by_its_owner(
    spawner, cluster, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    job_id = await submit(spawner, new_tag(spawner))

    async def nothing(self, tag):
        return []

    monkeypatch.setattr("batchspawner.client.BatchClient.find", nothing)
    await reaper(spawner).look()
    assert job_id in cluster.jobs
    assert "its owner has no such job" in caplog.text


async def test_the_tag_of_a_server_is_found_inside_what_wraps_it(spawner, cluster):
    task = await begin(spawner)
    state = {"child_state": {"job_tag": spawner.job_tag}, "profile": "a"}
    spawner.orm_spawner.state = state
    object_session(spawner.orm_spawner).commit()
    await reaper(spawner).look()
    assert "1" in cluster.jobs
    task.cancel()


async def test_the_hub_goes_on_while_it_looks_through_the_servers(cluster, monkeypatch):
    monkeypatch.setattr(orphans, "_MAX_ROWS", 2)
    spawners = make_spawners(FakeSpawner, 5)
    tags = [new_tag(one) for one in spawners]
    for one, tag in zip(spawners, tags):
        one.orm_spawner.state = {"job_tag": tag}
    spawners[4].orm_spawner.state = None
    look = asyncio.ensure_future(owned_tags(object_session(spawners[0].orm_spawner)))
    turns = 0
    while not look.done():
        await asyncio.sleep(0)
        turns += 1
    assert await look == {*tags[:4]}
    assert turns > 2


async def test_a_hub_that_looks_for_orphans_survives_a_scheduler_that_does_not_answer(
    spawner, cluster, monkeypatch
):
    monkeypatch.setattr(orphans, "_SEARCH_INTERVAL_S", 0.01)
    job_id = await submit(spawner, new_tag(spawner))
    cluster.down = True
    task = asyncio.ensure_future(reaper(spawner, orphan_grace=0.0).run())
    await asyncio.sleep(0.1)
    cluster.down = False
    await until(lambda: job_id in cluster.ended)
    task.cancel()


async def test_a_hub_that_looks_for_orphans_survives_the_loss_of_its_connection_to_the_database(
    cluster, monkeypatch, tmp_path
):
    monkeypatch.setattr(orphans, "_SEARCH_INTERVAL_S", 0.01)
    spawner = make_spawner(FakeSpawner, database=str(tmp_path / "hub.sqlite"))
    job_id = await submit(spawner, new_tag(spawner))
    object_session(spawner.orm_spawner).connection().invalidate()
    task = asyncio.ensure_future(reaper(spawner, orphan_grace=0.0).run())
    await until(lambda: job_id in cluster.ended)
    task.cancel()


def test_a_tag_is_short_and_identifies_its_hub():
    hubs = [
        SimpleNamespace(user=SimpleNamespace(settings={"cookie_secret": secret}))
        for secret in (b"one", b"two")
    ]
    tags = [new_tag(hub) for hub in hubs]
    assert all(TAG.fullmatch(tag) and len(tag) == 15 for tag in tags)
    assert tags[0][:7] != tags[1][:7] == hub_word(hubs[1])
