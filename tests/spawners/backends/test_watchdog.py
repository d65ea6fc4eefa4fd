"""What happens to a server that runs: its end is told, its restart is followed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from batchspawner.jobs import JobState
from batchspawner.spawners.backends import watchdog
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import restored, stored_state, unstored
from tests.spawners.test_life import begin, serve, until


class Proxy:
    """Remembers the routes that it is given."""

    def __init__(self):
        self.routes = []

    async def add_user(self, user, name):
        assert unstored(user.spawners[name]) == []
        self.routes.append(user.spawners[name].server.host)


@pytest.fixture
def proxy(spawner):
    return known_to_hub(spawner)


def known_to_hub(spawner):
    """Put a spawner where JupyterHub has it, and return the Hub's proxy."""
    proxy = Proxy()
    spawner.user.spawners = {spawner.name: spawner}
    spawner.user.settings = {"proxy": proxy}
    return proxy


async def test_the_end_of_a_running_job_is_told_at_once(spawner, cluster):
    told = []
    await serve(spawner, cluster)
    spawner.add_poll_callback(told.append, "ended")
    cluster.set("1", JobState.TIMEOUT)
    await until(lambda: told == ["ended"])


async def test_nothing_is_reported_while_jupyterhub_is_still_busy_with_the_start(spawner, cluster):
    told = []
    spawner._spawn_pending = True
    await serve(spawner, cluster)
    cluster.set("1", JobState.FAILED)
    await asyncio.sleep(0.3)
    spawner.add_poll_callback(told.append, "ended")
    spawner._spawn_pending = False
    await until(lambda: told == ["ended"])


async def test_an_end_that_jupyterhub_itself_causes_is_not_reported_again(spawner, cluster):
    told = []
    await serve(spawner, cluster)
    spawner._stop_pending = True
    spawner.add_poll_callback(told.append, "ended")
    await spawner.stop()
    spawner.clear_state()
    await asyncio.sleep(0.2)
    assert told == []


async def test_a_job_that_restarts_on_another_node_takes_its_route_along(spawner, cluster, proxy):
    await serve(spawner, cluster)
    cluster.set("1", JobState.PENDING, reason="requeued")
    await until(lambda: spawner.backend.status.state is JobState.PENDING)
    assert await spawner.poll() is None
    cluster.run("1", host="node2")
    spawner.receive_report(9999)
    await until(lambda: proxy.routes)
    assert proxy.routes == ["http://node2:9999"]
    assert spawner.server.url.startswith("http://node2:9999/")
    state = stored_state(spawner)
    assert (state["job_host"], state["job_port"]) == ("node2", 9999)


def running_tasks() -> set[str]:
    return {task.get_coro().__qualname__ for task in asyncio.all_tasks()}


async def test_a_report_alone_moves_the_route(spawner, cluster, proxy):
    await serve(spawner, cluster)
    await until(lambda: "Watchdog._follow" not in running_tasks())
    spawner.receive_report(9999)
    await until(lambda: proxy.routes)
    assert spawner.server.port == 9999


async def test_a_proxy_that_is_away_gets_the_new_route_when_it_is_back(
    spawner, cluster, proxy, monkeypatch
):
    monkeypatch.setattr(watchdog, "_RETRY_INTERVAL_S", 0.05)
    there = proxy.add_user

    async def away(*_):
        proxy.add_user = there
        raise OSError("connection refused")

    await serve(spawner, cluster)
    proxy.add_user = away
    for host, port in (("node2", 9999), ("node3", 8888)):
        cluster.run("1", host=host)
        spawner.receive_report(port)
        await until(lambda: proxy.routes[-1:] == [f"http://{host}:{port}"])  # noqa: B023


async def test_a_restarted_hub_looks_after_a_running_server_too(spawner, cluster):
    await serve(spawner, cluster)
    told = []
    again = restored(FakeSpawner, spawner.orm_spawner)
    proxy = known_to_hub(again)
    await again.get_url()
    again.add_poll_callback(told.append, "ended")
    cluster.run("1", host="node5")
    again.receive_report(7777)
    await until(lambda: proxy.routes == ["http://node5:7777"])
    cluster.set("1", JobState.CANCELLED)
    await until(lambda: told == ["ended"])
    again.clear_state()


async def test_a_job_that_reported_just_before_the_hub_died_is_not_asked_to_report_again(
    spawner, cluster
):
    task = await begin(spawner)
    await spawner.receive_report(4444)
    task.cancel()
    again = restored(FakeSpawner, spawner.orm_spawner)
    again.startup_poll_interval = 0.01
    cluster.run("1")
    assert (await asyncio.wait_for(again.get_url(), 5)).startswith("http://node1:4444/")
    assert unstored(again) == []
    again.clear_state()


async def test_an_id_that_the_scheduler_has_given_to_another_job_is_not_our_server(
    spawner, cluster, monkeypatch, caplog
):
    monkeypatch.setattr(watchdog, "_REPORT_TIMEOUT_S", 0.05)
    told = []
    await serve(spawner, cluster)
    spawner.add_poll_callback(told.append, "ended")
    cluster.tags.clear()
    cluster.set("1", JobState.RUNNING, host="node9", start=999.0)
    await until(lambda: told == ["ended"])
    assert "job 1 is another one now" in caplog.text


async def test_an_id_that_was_given_to_a_job_that_waits_is_not_our_server(spawner, cluster, caplog):
    told = []
    await serve(spawner, cluster)
    spawner.add_poll_callback(told.append, "ended")
    cluster.tags.clear()
    cluster.set("1", JobState.HELD)
    await until(lambda: told == ["ended"])
    assert "job 1 is another one now" in caplog.text


async def test_a_restarted_job_that_is_slow_to_report_stays_our_server(
    spawner, cluster, monkeypatch
):
    monkeypatch.setattr(watchdog, "_REPORT_TIMEOUT_S", 0.05)
    told = []
    await serve(spawner, cluster)
    spawner.add_poll_callback(told.append, "ended")
    cluster.set("1", JobState.RUNNING, host="node9", start=999.0)
    await asyncio.sleep(0.3)
    assert told == []
    assert cluster.commands.count("find") == 1
    assert await spawner.poll() is None


async def adopted(spawner):
    """Return the spawner of a Hub that starts while the job waits, and its `get_url`."""
    task = await begin(spawner)
    await until(lambda: stored_state(spawner).get("job_id"))
    task.cancel()
    again = restored(FakeSpawner, spawner.orm_spawner)
    again.startup_poll_interval = 0.01
    again._check_pending = True
    proxy = known_to_hub(again)
    url = asyncio.ensure_future(again.get_url())
    await until(lambda: again._spawn_pending)
    return again, proxy, url


async def test_a_server_that_starts_is_shown_as_starting_by_a_restarted_hub(spawner, cluster):
    again, proxy, url = await adopted(spawner)
    assert again.pending == "spawn"
    cluster.run("1", host="node3")
    again.receive_report(5555)
    assert (await asyncio.wait_for(url, 5)).startswith("http://node3:5555/")
    again.server.ip, again.server.port = "node3", 5555
    assert not again._spawn_future.done()
    again._check_pending = False
    await asyncio.wait_for(again._spawn_future, 5)
    assert proxy.routes == ["http://node3:5555"]
    assert again.ready
    again.clear_state()


async def test_a_start_that_fails_under_a_restarted_hub_says_why(spawner, cluster):
    again, _, url = await adopted(spawner)
    cluster.set("1", JobState.CANCELLED, reason="by root")
    await asyncio.wait_for(url, 5)
    await until(again._spawn_future.done)
    assert isinstance(again._spawn_future.exception(), SpawnFailure)
    assert "by root" in str(again._spawn_future.exception())


async def test_a_start_under_a_restarted_hub_can_be_cancelled(spawner, cluster):
    again, _, url = await adopted(spawner)
    again._spawn_future.cancel()
    await asyncio.wait_for(url, 5)
    await until(lambda: not again._spawn_pending)


async def test_the_state_of_a_wrapped_spawner_is_stored_by_what_wraps_it(spawner, cluster):
    outer = SimpleNamespace(child_spawner=spawner, get_state=lambda: {"child_state": "all of it"})
    spawner.user.spawners = {spawner.name: outer}
    task = await begin(spawner)
    assert stored_state(spawner) == {"child_state": "all of it"}
    task.cancel()


async def test_no_task_runs_for_a_server_while_its_job_runs(spawner, cluster):
    before = asyncio.all_tasks()
    await serve(spawner, cluster)

    def left() -> list[str]:
        return sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks() - before)

    # These are for all servers.
    await until(lambda: left() == ["Monitor._poll", "Reaper.run"])
