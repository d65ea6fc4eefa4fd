"""Give each test a queue of its own, used through its command, as a person uses it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hubs import wait_for

COMMAND = (sys.executable, "-m", "batchspawner.localqueue")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


class Queue:
    def __init__(self, folder: Path, slots: int) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "BATCHSPAWNER_QUEUE_DIR": str(folder),
            "BATCHSPAWNER_QUEUE_SLOTS": str(slots),
            "BATCHSPAWNER_QUEUE_GRACE": "0.5",
        }

    def run(self, *argv: str, script: str = "", **environment: str):
        return subprocess.run(
            [*COMMAND, *argv],
            env={**self.environment, **environment},
            input=script,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=300,
            cwd=self.folder.parent,
        )

    def submit(self, body: str, *options: str, **environment: str) -> str:
        done = self.run("submit", *options, script=f"#!/bin/sh\n{body}\n", **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def jobs(self, *argv: str) -> dict[str, dict]:
        done = self.run("query", *argv)
        assert done.returncode == 0, done.stderr
        return {job["id"]: job for job in json.loads(done.stdout)["jobs"]}

    def job(self, job_id: str) -> dict:
        return self.jobs(job_id)[job_id]

    def until(self, job_id: str, *states: str) -> dict:
        """Wait for a job to be in one of these states, by default to have ended."""
        states = states or ENDED

        def look():
            job = self.job(job_id)
            return job if job["state"] in states else None

        return wait_for(look, 20, f"job {job_id} to be {states}")

    def output(self, job_id: str) -> str:
        """Return what a job has printed; the file is there when the job has begun."""
        file = Path(self.job(job_id)["output"])
        return file.read_text() if file.exists() else ""


@pytest.fixture
def queue(tmp_path):
    one = Queue(tmp_path / "queue", slots=2)
    yield one
    with contextlib.suppress(AssertionError):
        left = list(one.jobs())
        if left:
            one.run("cancel", *left)
            one.run("wait", "--timeout", "120", *left)
