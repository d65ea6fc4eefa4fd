"""What becomes of the processes of a job, and of the one that watches over it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.hubs import wait_for
from tests.localqueue.conftest import COMMAND
from tests.processes import runs

if TYPE_CHECKING:
    from pathlib import Path


def test_the_walltime_ends_a_job_that_ignores_it(queue):
    job_id = queue.submit("trap '' TERM; while :; do sleep 0.1; done", "--walltime=0:01")
    job = queue.until(job_id)
    assert (job["state"], job["signal"]) == ("TIMEOUT", signal.SIGKILL)
    assert job["reason"] == "it reached its walltime of 1 s"


def test_a_cancelled_job_may_tidy_up(queue):
    script = "trap 'echo tidy; exit 0' TERM; echo on; while :; do sleep 0.05; done"
    job_id = queue.submit(script, BATCHSPAWNER_QUEUE_GRACE="200")
    wait_for(lambda: "on" in queue.output(job_id), 10, "the trap")
    queue.run("cancel", job_id)
    assert queue.until(job_id)["state"] == "CANCELLED"
    assert queue.output(job_id).splitlines()[-1] == "tidy"


@pytest.mark.parametrize("how", ["", "setsid"])
def test_what_the_script_had_started_may_tidy_up_too(queue, tmp_path, how):
    tidying = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo tidy; exit"
    child = f"trap '{tidying}' TERM; echo on; while :; do sleep 0.05; done"
    job_id = queue.submit(f'{how} sh -c "{child}" & wait', BATCHSPAWNER_QUEUE_GRACE="200")
    wait_for(lambda: "on" in queue.output(job_id), 10, "the trap")
    queue.run("cancel", job_id)
    queue.until(job_id, "COMPLETING")
    (tmp_path / "go").touch()
    job = queue.until(job_id)
    assert (job["state"], job["signal"]) == ("CANCELLED", signal.SIGTERM)
    assert queue.output(job_id).splitlines()[-1] == "tidy"


def test_what_a_script_that_ended_by_itself_had_started_may_tidy_up_too(queue, tmp_path):
    ready = tmp_path / "ready"
    child = f"trap 'sleep 0.2; echo tidy; exit' TERM; touch {ready}; while :; do sleep 0.05; done"
    script = f'sh -c "{child}" & until [ -e {ready} ]; do sleep 0.05; done; kill -KILL $$'
    job_id = queue.submit(script, BATCHSPAWNER_QUEUE_GRACE="200")
    job = queue.until(job_id)
    assert (job["state"], job["signal"]) == ("FAILED", signal.SIGKILL)
    assert queue.output(job_id).splitlines()[-1] == "tidy"


def test_a_signal_reaches_the_job(queue):
    job_id = queue.submit("trap 'echo got; exit 5' USR1; echo on; while :; do sleep 0.05; done")
    wait_for(lambda: "on" in queue.output(job_id), 10, "the trap")
    assert queue.run("signal", job_id, "USR1").returncode == 0
    assert queue.until(job_id)["exit_code"] == 5
    late = queue.run("signal", job_id, "15")
    assert (late.returncode, late.stderr) == (1, f"batchspawner-queue: job {job_id} does not run\n")


def test_a_job_hears_signals_that_its_submitter_ignores(queue):
    done = subprocess.run(
        ["sh", "-c", "trap '' INT QUIT HUP; exec \"$@\"", "sh", *COMMAND, "submit"],
        env=queue.environment,
        input="#!/bin/sh\necho here\nsleep 300\n",
        capture_output=True,
        text=True,
    )
    job_id = done.stdout.strip()
    wait_for(
        lambda: queue.job(job_id)["state"] == "RUNNING" and queue.output(job_id), 10, "the script"
    )
    assert queue.run("signal", job_id, "INT").returncode == 0
    assert queue.until(job_id)["signal"] == signal.SIGINT


@pytest.mark.parametrize("how", ["", "setsid", "env -i"])
def test_nothing_of_a_job_outlives_it(queue, tmp_path, how):
    job_id = queue.submit(f"{how} sleep 300 & echo $! > {tmp_path}/pid; sleep 0.2")
    queue.until(job_id, "COMPLETED")
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not runs(pid), 5, "the end of the background process")


def test_a_job_that_a_job_submits_outlives_it(queue):
    queue_command = f"{sys.executable} -m batchspawner.localqueue"
    outer = queue.submit(f"printf '#!/bin/sh\\nsleep 1\\n' | {queue_command} submit")
    queue.until(outer, "COMPLETED")
    inner = queue.output(outer).strip()
    assert queue.until(inner)["state"] == "COMPLETED"


@pytest.mark.parametrize("command", ["sleep 300", "exec env -i sleep 300"])
def test_a_supervisor_that_is_killed_is_noticed_and_its_job_ended(queue, tmp_path, command):
    job_id = queue.submit(f"echo $PPID $$ > {tmp_path}/pids; {command}")
    text = wait_for(lambda: _read(tmp_path / "pids"), 10, "the job")
    supervisor, script = map(int, text.split())
    waiting = queue.submit("true", "--slots=2")
    os.kill(supervisor, signal.SIGKILL)
    job = queue.until(job_id)
    assert job["state"] == "NODE_FAIL"
    assert "supervisor was killed" in job["reason"]
    wait_for(lambda: not runs(script), 5, "the end of the script")
    assert queue.until(waiting)["state"] == "COMPLETED"


def test_a_supervisor_that_fails_says_why(queue):
    blocker = queue.submit("sleep 600", "--slots=2")
    job_id = queue.submit("true")
    _change(queue, job_id, environment="no JSON")
    queue.run("cancel", blocker)
    job = queue.until(job_id)
    assert job["state"] == "NODE_FAIL"
    assert job["reason"].startswith("its supervisor failed: json.decoder.JSONDecodeError")


def test_a_job_of_another_machine_is_left_alone(queue):
    job_id = queue.submit("sleep 600")
    wait_for(lambda: queue.run("signal", job_id, "CONT").returncode == 0, 10, "the script")
    _change(queue, job_id, machine="login9")
    said = f"batchspawner-queue: job {job_id} runs on login9; say this there\n"
    for argv in (("cancel", job_id), ("signal", job_id, "TERM")):
        done = queue.run(*argv)
        assert (done.returncode, done.stderr) == (1, said)
    _change(queue, job_id, machine=os.uname().nodename)
    assert queue.job(job_id)["state"] == "RUNNING"


def _change(queue, job_id: str, **values: str) -> None:
    with contextlib.closing(sqlite3.connect(queue.folder / "queue.sqlite")) as db, db:
        for name, value in values.items():
            db.execute(f"update jobs set {name} = ? where id = ?", (value, job_id))


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
