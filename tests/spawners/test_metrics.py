from __future__ import annotations

import re

import prometheus_client
import pytest

from batchspawner.jobs import JobState
from batchspawner.spawners.failures import SpawnFailure
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


async def test_a_refused_submit_is_counted(spawner, cluster):
    cluster.refuse = "no such queue"
    before = metric("batchspawner_submits_total", outcome="refused")
    with pytest.raises(SpawnFailure):
        await spawner.start()
    assert metric("batchspawner_submits_total", outcome="refused") == before + 1


async def test_a_start_that_fails_is_counted_by_how_its_job_ended(spawner, cluster):
    before = metric("batchspawner_start_failures_total", state="timeout")
    task = await begin(spawner)
    cluster.set("1", JobState.TIMEOUT)
    with pytest.raises(SpawnFailure):
        await task
    assert metric("batchspawner_start_failures_total", state="timeout") == before + 1


async def test_what_the_monitor_knows_is_shown(spawner, cluster):
    await serve(spawner, cluster)
    assert metric("batchspawner_jobs", state="running") == 1
    assert metric("batchspawner_queries_total") >= 1
    assert metric("batchspawner_snapshot_age_seconds") < 5
    failures = metric("batchspawner_query_failures_total")
    cluster.down = True
    await until(lambda: metric("batchspawner_query_failures_total") > failures)


async def test_no_name_of_a_user_and_no_job_is_in_the_metrics(spawner, cluster):
    await serve(spawner, cluster)
    text = prometheus_client.generate_latest().decode()
    ours = [line for line in text.splitlines() if line.startswith("batchspawner_")]
    labels = {name for line in ours for name in re.findall(r"(\w+)=", line)}
    assert labels <= {"scheduler", "outcome", "state", "le"}
