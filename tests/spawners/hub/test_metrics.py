from __future__ import annotations

import asyncio
import re
import time

import prometheus_client
import pytest

from batchspawner.errors import CommandNotFound, ParseError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobState
from batchspawner.spawners.backends import scheduler_backend
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from tests.fakes import FakeScheduler
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import restored, stored_state
from tests.spawners.test_life import begin, serve, until


def metric(name: str, **labels: str) -> float:
    """Return what an administrator reads at /hub/metrics, 0 for what is not there."""
    return prometheus_client.REGISTRY.get_sample_value(name, {"scheduler": "fake", **labels}) or 0


async def test_submits_and_starts_are_counted_and_timed(spawner, cluster):
    names = ("pending", "start", "report_to_ready")
    before = {one: metric(f"batchspawner_{one}_seconds_count") for one in names}
    accepted = metric("batchspawner_submits_total", outcome="accepted")
    await serve(spawner, cluster)
    after = {one: metric(f"batchspawner_{one}_seconds_count") for one in names}
    assert {one: after[one] - before[one] for one in names} == dict.fromkeys(names, 1)
    assert metric("batchspawner_submits_total", outcome="accepted") == accepted + 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (SubmitError("no such queue"), "refused"),
        (CommandNotFound("sbatch cannot be run on this machine"), "no_command"),
        (ParseError("it did not end with a job id"), "not_understood"),
        (SchedulerUnavailable("it did not answer"), "no_answer"),
    ],
)
async def test_a_failed_submit_is_counted_by_its_outcome(spawner, monkeypatch, error, outcome):
    async def submit(*_):
        raise error

    monkeypatch.setattr("batchspawner.client.BatchClient.submit", submit)
    before = metric("batchspawner_submits_total", outcome=outcome)
    with pytest.raises(SpawnFailure):
        await spawner.start()
    assert metric("batchspawner_submits_total", outcome=outcome) == before + 1


def failures() -> dict[str, float]:
    """Return how many starts have failed, by their cause."""
    return {
        sample.labels["cause"]: sample.value
        for family in prometheus_client.REGISTRY.collect()
        for sample in family.samples
        if sample.name == "batchspawner_start_failures_total"
        and sample.labels["scheduler"] == "fake"
    }


async def end_overdue(spawner, cluster):
    cluster.set("1", JobState.TIMEOUT)


async def never_begin(spawner, cluster):
    cluster.set("1", JobState.PENDING)


async def run_without_a_word(spawner, cluster):
    cluster.run("1")


@pytest.mark.parametrize(
    ("fate", "cause"),
    [
        (end_overdue, "walltime"),
        (never_begin, "start_timeout"),
        (run_without_a_word, "server_silent"),
    ],
)
async def test_a_start_that_fails_is_counted_by_its_cause(spawner, cluster, fate, cause):
    before = failures()
    spawner.start_timeout = 1
    task = await begin(spawner)
    await fate(spawner, cluster)
    with pytest.raises(SpawnFailure):
        await task
    assert failures() == {**before, cause: before.get(cause, 0) + 1}


async def test_a_refused_start_and_one_that_nobody_understands_are_failures_too(
    spawner, cluster, monkeypatch
):
    before = failures()
    cluster.refuse = "no such queue"
    with pytest.raises(SpawnFailure):
        await spawner.start()
    monkeypatch.setattr(spawner, "submit_batch_script", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await spawner.start()
    added = {cause: number - before.get(cause, 0) for cause, number in failures().items()}
    assert {cause: number for cause, number in added.items() if number} == {
        "job_refused": 1,
        "job_failed": 1,
    }


async def test_a_start_that_somebody_stops_is_no_failure(spawner, cluster):
    before = failures()
    task = await begin(spawner)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert failures() == before


async def test_a_start_that_fails_under_a_restarted_hub_is_counted_once(spawner, cluster):
    before = failures().get("job_cancelled", 0)
    task = await begin(spawner)
    task.cancel()
    later = restored(FakeSpawner, spawner.orm_spawner)
    url = asyncio.ensure_future(later.get_url())
    await until(lambda: later.backend.status)
    cluster.set("1", JobState.CANCELLED)
    await url
    assert failures()["job_cancelled"] == before + 1
    later.clear_state()


async def test_a_wait_is_counted_once_also_where_the_hub_restarts_within_it(spawner, cluster):
    name = "batchspawner_pending_seconds_count"
    before = metric(name)
    task = await begin(spawner)
    await until(lambda: stored_state(spawner).get("submitted_at"))
    task.cancel()
    for _ in range(2):
        later = restored(FakeSpawner, spawner.orm_spawner)
        url = asyncio.ensure_future(later.get_url())
        cluster.run("1")
        later.receive_report(4321)
        await asyncio.wait_for(url, 5)
        later.backend.close()
    assert metric(name) == before + 1


async def test_a_report_that_is_quicker_than_the_scheduler_ends_the_wait(spawner, cluster):
    spawner.trust_reported_host = True
    names = ("batchspawner_pending_seconds_count", "batchspawner_start_seconds_count")
    before = [metric(name) for name in names]
    task = await begin(spawner)
    spawner.receive_report(4321, "10.0.0.9")
    await asyncio.wait_for(task, 5)
    assert [metric(name) for name in names] == [number + 1 for number in before]


@pytest.mark.parametrize("skew", [-2400, 2400])
async def test_a_scheduler_with_another_clock_makes_no_wait_longer(spawner, cluster, skew):
    before = metric("batchspawner_pending_seconds_sum")
    task = await begin(spawner)
    now = time.time()
    cluster.set("1", JobState.RUNNING, host="node1", start=now + skew, end=now + skew + 3600)
    spawner.receive_report(4321)
    await asyncio.wait_for(task, 5)
    assert 0 < metric("batchspawner_pending_seconds_sum") - before < 5
    assert await spawner.poll() is None


async def test_what_the_monitor_knows_is_shown(spawner, cluster):
    await serve(spawner, cluster)
    assert metric("batchspawner_jobs", state="running") == 1
    assert metric("batchspawner_queries_total") >= 1
    assert metric("batchspawner_snapshot_age_seconds") < 5
    questions = metric("batchspawner_questions_total")
    cluster.set("1", JobState.COMPLETED)
    await until(lambda: metric("batchspawner_questions_total") == questions + 1)


async def test_failed_queries_are_counted_by_kind(spawner, cluster, monkeypatch):
    kinds = ("no_answer", "not_understood")
    before = [metric("batchspawner_query_failures_total", kind=kind) for kind in kinds]
    await serve(spawner, cluster)
    cluster.down = True
    await until(lambda: metric("batchspawner_query_failures_total", kind="no_answer") > before[0])
    cluster.down = False
    monkeypatch.setattr(FakeScheduler, "_listing", lambda *_: 1 / 0)
    await until(
        lambda: metric("batchspawner_query_failures_total", kind="not_understood") > before[1], 10
    )


async def test_the_age_of_the_last_answer_grows_also_where_there_never_was_one(
    spawner, cluster, monkeypatch
):
    monkeypatch.setattr(scheduler_backend, "_FIRST_ANSWER_TIMEOUT_S", 0.1)
    cluster.down = True
    spawner.job_id = "7"
    assert await spawner.poll() is None
    assert 0.05 < metric("batchspawner_snapshot_age_seconds") < 30


async def test_no_name_of_a_user_and_no_job_is_in_the_metrics(spawner, cluster):
    await serve(spawner, cluster)
    text = prometheus_client.generate_latest().decode()
    ours = [line for line in text.splitlines() if line.startswith("batchspawner_")]
    labels = {name for line in ours for name in re.findall(r"(\w+)=", line)}
    assert labels <= {"scheduler", "outcome", "state", "cause", "kind", "le"}
