"""Metrics for the administrator, which JupyterHub shows at ``/hub/metrics``."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ...client.monitor import all_monitors
from ..failures.causes import CRASHED
from ..failures.spawn_failure import SpawnFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from ...client.monitor import Monitor

SUBMITS = prometheus_client.Counter(
    "batchspawner_submits",
    "Jobs handed to a scheduler; outcome: accepted, refused, no_answer, no_command, "
    "not_understood.",
    ["scheduler", "outcome"],
)
START_FAILURES = prometheus_client.Counter(
    "batchspawner_start_failures",
    "Starts that failed, by their cause, in the word that JupyterHub 6 counts, too.",
    ["scheduler", "cause"],
)
CLAIM_ALARMS = prometheus_client.Counter(
    "batchspawner_claim_alarms",
    "Uses of a claim code that had been used: somebody else may have the code.",
    ["scheduler"],
)
PENDING = prometheus_client.Histogram(
    "batchspawner_pending_seconds",
    "From the submit until the job ran.",
    ["scheduler"],
    buckets=(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400),
)
STARTING = prometheus_client.Histogram(
    "batchspawner_start_seconds",
    "From the job seen to run until its server answered.",
    ["scheduler"],
    buckets=(0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300),
)
REPORT_TO_READY = prometheus_client.Histogram(
    "batchspawner_report_to_ready_seconds",
    "From the job's report until its server answered; most of it is the server's own start.",
    ["scheduler"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 30, 60),
)


class MonitorCollector:
    """Figures of the monitors, read from them whenever the metrics are requested."""

    def collect(self) -> Iterator[Metric]:
        queries = CounterMetricFamily(
            "batchspawner_queries", "Queries sent to a scheduler.", labels=["scheduler"]
        )
        failures = CounterMetricFamily(
            "batchspawner_query_failures",
            "Queries that failed; kind: no_answer, no_command, not_understood.",
            labels=["scheduler", "kind"],
        )
        questions = CounterMetricFamily(
            "batchspawner_questions",
            "Commands that asked about one job, because a query did not tell what became of it.",
            labels=["scheduler"],
        )
        age = GaugeMetricFamily(
            "batchspawner_snapshot_age_seconds",
            "Time since the last answer of a scheduler.",
            labels=["scheduler"],
        )
        jobs = GaugeMetricFamily(
            "batchspawner_jobs", "Watched jobs by their state.", labels=["scheduler", "state"]
        )
        by_scheduler: dict[str, list[Monitor]] = {}
        for monitor in all_monitors():
            by_scheduler.setdefault(monitor.scheduler.name, []).append(monitor)
        # A scheduler that shows users only their own jobs has a monitor for each.
        for name, group in by_scheduler.items():
            queries.add_metric([name], sum(one.queries for one in group))
            questions.add_metric([name], sum(one.questions for one in group))
            failed = sum((one.failed for one in group), Counter())
            for kind, number in failed.items():
                failures.add_metric([name, kind], number)
            ages = [one.age for one in group if one.age is not None and one.watched]
            if ages:
                age.add_metric([name], max(ages))
            states = Counter(status.state.value for one in group for status in one.statuses())
            for state, number in states.items():
                jobs.add_metric([name, state], number)
        yield from (queries, failures, questions, age, jobs)


@contextmanager
def counting_failures(scheduler: str) -> Iterator[None]:
    """Count the failure of a start in the block, but not its cancellation."""
    try:
        yield
    except Exception as error:
        cause = error.details.cause if isinstance(error, SpawnFailure) else CRASHED
        START_FAILURES.labels(scheduler=scheduler, cause=cause.word).inc()
        raise


prometheus_client.REGISTRY.register(MonitorCollector())
