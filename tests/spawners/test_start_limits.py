"""How long a start may take: in the queue, and from the job's start until its server answers."""

from __future__ import annotations

import asyncio
import time

import pytest
from traitlets import Integer

from batchspawner.jobs import JobState
from batchspawner.spawners.backends.start_clock import StartClock, StartLimits
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.progress import wait_statistics
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import make_spawner, restored
from tests.spawners.test_life import begin, until

YEAR = 365 * 86400


@pytest.fixture(autouse=True)
def _no_waits():
    wait_statistics.forget_waits()


class OldSite(FakeSpawner):
    start_timeout = Integer(900)


class OlderSite(FakeSpawner):
    start_timeout = 900


@pytest.mark.parametrize(
    ("cls", "config", "limits", "hub_s"),
    [
        (FakeSpawner, {}, StartLimits(None, 300), YEAR),
        # As in 1.x, whatever section, and for the value of the default, too.
        (FakeSpawner, {"Spawner": {"start_timeout": 600}}, StartLimits(total_s=600), 600),
        (FakeSpawner, {"FakeSpawner": {"start_timeout": 300}}, StartLimits(total_s=300), 300),
        (OldSite, {}, StartLimits(total_s=900), 900),
        (OlderSite, {}, StartLimits(total_s=900), 900),
        (FakeSpawner, {"Spawner": {"queue_timeout": 7200}}, StartLimits(7200, 300), 7800),
        (
            FakeSpawner,
            {"BatchSpawnerBase": {"queue_timeout": 7200}, "Spawner": {"start_timeout": 100}},
            StartLimits(7200, 100),
            7600,
        ),
        (
            FakeSpawner,
            {"FakeSpawner": {"queue_timeout": 0, "start_timeout": 100}},
            StartLimits(None, 100),
            YEAR,
        ),
        (OldSite, {"OldSite": {"queue_timeout": 60}}, StartLimits(60, 900), 1260),
    ],
)
async def test_jupyterhub_waits_as_long_as_both_limits_allow(cluster, cls, config, limits, hub_s):
    spawner = make_spawner(cls, config)
    configured = spawner.start_timeout
    assert (spawner.start_limits, spawner.start_limits.hub_s) == (limits, hub_s)
    for _ in range(2):
        await spawner.run_pre_spawn_hook()
        assert spawner.start_timeout == hub_s
        task = asyncio.ensure_future(spawner.start())
        await until(lambda: spawner.job_id)
        assert (spawner.start_timeout, spawner.start_limits) == (configured, limits)
        task.cancel()
        spawner.clear_state()


async def test_a_hook_may_set_a_limit_for_one_start(spawner):
    spawner.pre_spawn_hook = lambda one: setattr(one, "queue_timeout", 5)
    await spawner.run_pre_spawn_hook()
    assert spawner.start_timeout == 605
    spawner.clear_state()
    assert spawner.start_timeout == 300
    assert spawner.start_limits == StartLimits(5, 300)


async def test_a_start_that_was_never_begun_changes_no_limit(spawner):
    await spawner.run_pre_spawn_hook()
    spawner.clear_state()
    assert spawner.start_limits == StartLimits(None, 300)


async def test_a_job_that_waits_for_too_long_is_given_up(spawner, cluster):
    spawner.queue_timeout = 1
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    with pytest.raises(SpawnFailure) as caught:
        await asyncio.wait_for(task, 60)
    assert str(caught.value) == (
        "The job did not start in time. After 1 second in the queue, the limit of this Hub: Job 1 "
        "waits in the queue: Resources. Start again when the queue is shorter, or ask for less. "
        "Job 1."
    )


async def test_the_wait_in_the_queue_does_not_count_for_the_server(spawner, cluster):
    spawner.queue_timeout, spawner.start_timeout = 0, 1
    task = await begin(spawner)
    await asyncio.sleep(1.5)
    assert not task.done()
    cluster.run("1")
    with pytest.raises(SpawnFailure) as caught:
        await asyncio.wait_for(task, 60)
    assert caught.value.details.cause.word == "server_silent"
    assert "1 second after the job's start, the limit of this Hub: Job 1" in str(caught.value)


async def test_a_job_that_runs_does_not_end_with_the_time_in_the_queue(spawner, cluster):
    spawner.queue_timeout, spawner.start_timeout = 1, 300
    task = await begin(spawner)
    cluster.run("1")
    await until(lambda: spawner.backend.clock.running_since)
    await asyncio.sleep(1.5)
    assert not task.done()
    spawner.receive_report(4321)
    assert await asyncio.wait_for(task, 60) == ("node1", 4321)


async def test_a_hub_that_restarts_counts_the_queue_from_the_submit(spawner, cluster):
    spawner.queue_timeout = 3600
    task = await begin(spawner)
    spawner.job.submitted("1", at=time.time() - 3000)
    await spawner.receive_report(1)  # stores the state
    task.cancel()
    later = restored(FakeSpawner, spawner.orm_spawner, queue_timeout=3600)
    resumed = asyncio.ensure_future(later.backend.resume())
    await until(lambda: later.backend.clock.left_s < 700)
    assert later.backend.clock.left_s > 300
    resumed.cancel()
    later.clear_state()


async def test_a_job_that_is_put_back_has_the_time_of_the_queue_again():
    clock = StartClock(StartLimits(1000, 10), time.monotonic() - 500)
    clock.note_running(runs=True)
    assert clock.left_s <= 10
    clock.note_running(runs=False)
    assert 400 < clock.left_s <= 500
