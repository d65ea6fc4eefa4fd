"""docs/scaling.md lists the metrics that the Hub exports."""

from __future__ import annotations

import re
from pathlib import Path

import prometheus_client

from batchspawner.spawners.hub import metrics

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_the_page_on_scaling_names_every_metric():
    assert metrics.SUBMITS
    shown = {
        family.name + "_total" * (family.type == "counter")
        for family in prometheus_client.REGISTRY.collect()
        if family.name.startswith("batchspawner_")
    }
    assert set(re.findall(r"`(batchspawner_\w+)`", PAGE)) == shown
