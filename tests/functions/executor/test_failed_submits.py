"""Jobs that have begun although their submit has failed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from batchspawner.errors import SubmitError
from batchspawner.functions import Executor, slurmify
from batchspawner.localqueue.store import FINAL
from tests.functions import tasks
from tests.hubs import wait_for
from tests.sabotage import Liars


@pytest.fixture
def liars(queue, tmp_path, monkeypatch):
    """An embedded queue with one slot, whose command can lie."""
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_DIR", str(tmp_path / "queue"))
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_SLOTS", "1")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    one = Liars(tmp_path / "liars", path, "batchspawner-queue")
    monkeypatch.setenv("PATH", one.path)
    return one


def states() -> list[str]:
    file = Path(os.environ["BATCHSPAWNER_QUEUE_DIR"], "queue.sqlite")
    with closing(sqlite3.connect(file)) as db:
        return [state for (state,) in db.execute("select state from jobs order by id")]


def test_a_worker_whose_submit_got_no_answer_does_not_wait_for_calls(liars, tmp_path):
    script = f"#!/bin/sh\nwhile [ ! -e {tmp_path}/free ]; do sleep 0.1; done\n"
    command = ["batchspawner-queue", "submit"]
    subprocess.run(command, input=script, text=True, check=True, capture_output=True)
    liars.answer("batchspawner-queue", "lost", "the answer was lost")
    with Executor("local", 1) as executor:
        with pytest.raises(SubmitError, match="the answer was lost"):
            executor.submit(abs, -1).result(120)
        assert states() == ["RUNNING", "PENDING"]
        (tmp_path / "free").touch()
        # By itself, a worker waits five minutes for somebody who has left it.
        wait_for(lambda: set(states()) <= set(FINAL), 20, "the end of the jobs")


def test_a_call_whose_job_ended_before_its_submit_failed_has_its_result(liars):
    liars.answer("batchspawner-queue", "late")
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(lambda: slurmify(tasks.square).distribute(7).result(120))
        liars.wait_for_lies("batchspawner-queue", 1)
        wait_for(lambda: set(states()) <= set(FINAL), 60, "the end of the job")
        liars.answer_truly()
        assert call.result(120) == 49
    assert len(states()) == 1
