"""Fixtures of the tests of functions: an embedded queue and a folder of jobs of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def queue(tmp_path_factory):
    """An embedded queue of four slots, empty in the end."""
    folder = tmp_path_factory.mktemp("functions")
    settings = {
        "BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"),
        "BATCHSPAWNER_QUEUE_SLOTS": "4",
        "BATCHSPAWNER_QUEUE_GRACE": "1",
        "BATCHSPAWNER_CALL_DIR": str(folder / "calls"),
        "BATCHSPAWNER_SCHEDULER": "local",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    yield folder
    end_all()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def end_all(**environment: str) -> None:
    """Cancel what is left in the queue, and wait for its end."""
    named = [f"{name}={value}" for name, value in environment.items()]
    command = ["env", *named, sys.executable, "-m", "batchspawner.localqueue"]
    listing = subprocess.run([*command, "query"], capture_output=True, text=True, timeout=60)
    ids = [job["id"] for job in json.loads(listing.stdout)["jobs"]]
    if ids:
        subprocess.run([*command, "cancel", *ids], capture_output=True, timeout=60)
        wait = [*command, "wait", "--timeout", "20", *ids]
        subprocess.run(wait, capture_output=True, timeout=60)
