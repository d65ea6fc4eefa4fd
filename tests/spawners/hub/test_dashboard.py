"""The dashboard for Grafana, docs/examples/grafana: it asks for what a Hub exports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import prometheus_client
import pytest

from batchspawner.spawners.hub import metrics
from tests.spawners.test_life import serve, until

DASHBOARD = Path(__file__).parents[3] / "docs" / "examples" / "grafana" / "batchspawner.json"
NAME = re.compile(r"batchspawner_\w+")
LABELS = re.compile(r"(?:by|without) \(([^)]*)\)|(\w+)=~?\"|\{\{(\w+)\}\}")


def panels() -> list[dict]:
    return json.loads(DASHBOARD.read_text("utf-8"))["panels"]


def queries() -> dict[str, str]:
    """Return the legend of each query of the dashboard."""
    return {one["expr"]: one["legendFormat"] for panel in panels() for one in panel["targets"]}


@pytest.fixture
async def exported(spawner, cluster):
    """A server that runs, and all that a Hub exports of it: the labels of each metric."""
    metrics.START_FAILURES.labels(scheduler="fake", cause="walltime")
    metrics.CLAIM_ALARMS.labels(scheduler="fake")
    await serve(spawner, cluster)

    def samples() -> dict[str, set[str]]:
        found = [one for family in prometheus_client.REGISTRY.collect() for one in family.samples]
        return {one.name: set(one.labels) for one in found if NAME.fullmatch(one.name)}

    cluster.down = True
    await until(lambda: "batchspawner_query_failures_total" in samples(), 30)
    cluster.down = False
    return samples()


async def test_the_dashboard_has_every_metric_with_labels_that_it_has(exported):
    used = set()
    for query, legend in queries().items():
        names = set(NAME.findall(query))
        used |= names
        assert names <= set(exported), query
        labels = {
            label
            for found in LABELS.findall(f"{query} {legend}")
            for label in re.split(r", *", "".join(found))
        }
        known = set().union(*(exported[name] for name in names))
        assert labels <= known, query
    # Sums, and moments at which a process began to count, are no pictures.
    parts = {name for name in exported if name.endswith(("_created", "_sum"))}
    counts = {name for name in exported if name.endswith(("_count", "_bucket"))}
    assert used - counts == set(exported) - counts - parts
    histograms = {name.rpartition("_")[0] for name in counts}
    assert {name.rpartition("_")[0] for name in used & counts} == histograms


def test_the_dashboard_leaves_the_data_source_and_the_schedulers_to_its_reader():
    known = {"datasource", "scheduler", "__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text("utf-8"))) == known | {"__all"}
    places = [tuple(one["gridPos"][key] for key in "xywh") for one in panels()]
    assert len(set(places)) == len(places)
    assert all(x + w <= 24 for x, _, w, _ in places)
