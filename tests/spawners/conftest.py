from __future__ import annotations

import pytest
from traitlets import Float

from batchspawner.spawners import BatchSpawnerBase
from batchspawner.spawners.backends import exec_prefix, scheduler_backend, selection, watchdog
from batchspawner.spawners.hub import commit
from tests.fakes import fake
from tests.spawners.site import make_spawner


class FakeSpawner(BatchSpawnerBase):
    scheduler_name = "fake"
    poll_interval = Float(0.02)

    async def _get_batch_script(self, **variables):
        return f"#!/bin/sh\n{variables['cmd']}\n"


@pytest.fixture
def cluster(monkeypatch):
    """A fake cluster that every spawner of `FakeSpawner` reaches."""
    cluster, scheduler, runner = fake()
    monkeypatch.setattr(selection, "scheduler_names", lambda: ["fake"])
    monkeypatch.setattr(selection, "scheduler_class", lambda _: lambda: scheduler)
    monkeypatch.setattr(exec_prefix, "runners_of", lambda *_, **__: (runner, runner))

    monkeypatch.setattr(commit, "_COLLECT_S", 0.0)

    async def answers(*_):
        return True

    monkeypatch.setattr(scheduler_backend, "answers_http", answers)
    monkeypatch.setattr(watchdog, "answers_http", answers)
    return cluster


@pytest.fixture
def spawner(cluster):
    one = make_spawner(FakeSpawner, {"FakeSpawner": {"startup_poll_interval": 0.01}})
    yield one
    one.clear_state()
