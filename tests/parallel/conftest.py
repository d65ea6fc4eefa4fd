"""Give each test a queue, a data folder and an IPython folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("ipyparallel")


class Place:
    """Where a test's jobs run, and what is left of them."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data" / "batchspawner"
        self.profiles = folder / "ipython"

    def fill(self, seconds: float) -> str:
        """Leave no room in the queue for a while."""
        return self.queue("submit", "--slots=2", script=f"#!/bin/sh\nsleep {seconds}\n").strip()

    def queue(self, *argv: str, script: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "batchspawner.localqueue", *argv],
            env=os.environ, input=script, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout

    def jobs(self) -> dict[str, str]:
        return {job["id"]: job["state"] for job in json.loads(self.queue("query"))["jobs"]}

    def left(self) -> list[str]:
        """Return the files and folders of jobs that are still there."""
        places = (self.data / "clusters", self.data / "connections")
        found = [path for place in places if place.exists() for path in place.iterdir()]
        return sorted(map(str, [*found, *self.profiles.glob("profile_job_*")]))


@pytest.fixture
def place(tmp_path, monkeypatch):
    one = Place(tmp_path)
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "local")
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_DIR", str(tmp_path / "queue"))
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_SLOTS", "2")
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_GRACE", "5")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("IPYTHONDIR", str(one.profiles))
    yield one
    left = list(one.jobs())
    if left:
        one.queue("cancel", *left)
        one.queue("wait", "--timeout", "20", *left)
