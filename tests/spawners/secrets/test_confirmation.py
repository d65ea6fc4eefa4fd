"""Nobody is sent to a server before its job has confirmed that it is its own."""

from __future__ import annotations

import asyncio

import pytest

from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from tests.spawners.backends.test_watchdog import known_to_hub
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import restored
from tests.spawners.test_life import begin, serve, until


@pytest.fixture
async def reported(spawner, cluster):
    """A start whose job has reported, with the promise to confirm."""
    task = await begin(spawner)
    cluster.run(spawner.job_id)
    spawner.receive_report(4321, confirms=True)
    yield task
    task.cancel()


async def test_a_server_that_answers_is_not_ready_before_it_is_confirmed(spawner, reported):
    await asyncio.sleep(0.3)
    assert not reported.done()
    spawner.receive_confirmation(4321)
    assert await asyncio.wait_for(reported, 5) == ("node1", 4321)


async def test_the_confirmation_of_another_port_does_not_count(spawner, reported):
    spawner.receive_confirmation(4322)
    await asyncio.sleep(0.3)
    assert not reported.done()


async def test_a_server_that_is_never_confirmed_is_an_error(spawner, reported):
    spawner.http_timeout = 0
    with pytest.raises(SpawnFailure, match=r"Job 1 has not confirmed .* port 4321 of its node"):
        await asyncio.wait_for(reported, 5)


async def test_a_restarted_hub_still_waits_for_the_confirmation(spawner, reported):
    reported.cancel()
    again = restored(FakeSpawner, spawner.orm_spawner)
    task = asyncio.ensure_future(again.get_url())
    await asyncio.sleep(0.3)
    assert not task.done()
    again.receive_confirmation(4321)
    assert (await asyncio.wait_for(task, 5)).startswith("http://node1:4321/")
    again.clear_state()


async def test_a_server_that_restarted_gets_no_visitors_before_it_is_confirmed(spawner, cluster):
    proxy = known_to_hub(spawner)
    await serve(spawner, cluster)
    cluster.run("1", host="node2")
    spawner.receive_report(9999, confirms=True)
    await asyncio.sleep(0.5)
    assert proxy.routes == []
    spawner.receive_confirmation(9999)
    await until(lambda: proxy.routes == ["http://node2:9999"])


async def test_a_certificate_is_no_confirmation(spawner, reported):
    spawner.internal_ssl = True
    await asyncio.sleep(0.3)
    assert not reported.done()
    spawner.receive_confirmation(4321)
    assert await asyncio.wait_for(reported, 5) == ("node1", 4321)


async def test_a_hub_that_does_not_need_it_does_not_ask_for_it(spawner):
    assert spawner.get_env()["BATCHSPAWNER_CONFIRM"] == "1"
    spawner.confirm_server = False
    assert "BATCHSPAWNER_CONFIRM" not in spawner.get_env()
    spawner.receive_report(4321, confirms=True)
    assert spawner.job.unconfirmed_port == 0
