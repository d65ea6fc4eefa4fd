from __future__ import annotations

import pytest
from traitlets import Float

from batchspawner.spawners import BatchSpawnerBase
from batchspawner.spawners.backends import backend, exec_prefix, selection, watchdog
from batchspawner.spawners.hub import state_writer
from batchspawner.spawners.progress import past_ends
from tests.fakes import fake
from tests.spawners.site import make_spawner


class FakeSpawner(BatchSpawnerBase):
    scheduler_name = "fake"
    poll_interval = Float(0.02)

    async def _get_batch_script(self, **variables):
        return f"#!/bin/sh\n{variables['cmd']}\n"


def make_reachable(monkeypatch) -> None:
    """Let every address answer as a server does."""

    async def answers(*_):
        return True

    async def probe(*_, **__):
        return ""

    monkeypatch.setattr(backend, "probe", probe)
    monkeypatch.setattr(watchdog, "answers_http", answers)


@pytest.fixture(autouse=True)
def _reachable(monkeypatch):
    make_reachable(monkeypatch)


@pytest.fixture(autouse=True)
def _no_past_ends():
    """A Hub process in which no server has ended yet."""
    past_ends._past_ends.clear()


@pytest.fixture
def cluster(monkeypatch):
    """A fake cluster that every spawner of `FakeSpawner` reaches."""
    cluster, scheduler, runner = fake()
    monkeypatch.setattr(selection, "scheduler_names", lambda: ["fake"])
    monkeypatch.setattr(selection, "scheduler_class", lambda _: lambda: scheduler)
    monkeypatch.setattr(exec_prefix, "runners_of", lambda *_, **__: (runner, runner))

    monkeypatch.setattr(state_writer, "_COLLECT_S", 0.0)
    monkeypatch.setattr(state_writer, "_COMMIT_INTERVAL_S", 0.0)

    make_reachable(monkeypatch)
    return cluster


@pytest.fixture
def spawner(cluster):
    one = make_spawner(FakeSpawner, {"FakeSpawner": {"startup_poll_interval": 0.01}})
    yield one
    one.clear_state()
