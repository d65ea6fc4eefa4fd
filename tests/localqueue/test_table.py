"""What a person reads of the queue: a table on a terminal; a program gets JSON."""

from __future__ import annotations

import json
import os
import re
import sys

import pexpect

from batchspawner.localqueue.table import job_table
from tests.localqueue.conftest import COMMAND

JOB = {
    "id": "3",
    "state": "RUNNING",
    "name": "jupyter",
    "slots": 2,
    "started": 1000.0,
    "ended": None,
    "deadline": 30000.0,
    "exit_code": None,
    "signal": None,
    "reason": "",
}


def test_the_table_says_how_long_a_job_runs_and_why_one_waits_or_has_ended():
    waits = {**JOB, "id": "14", "state": "PENDING", "started": None, "deadline": None}
    waits["reason"] = "needs 1 of the slots, 0 free"
    over = {**JOB, "id": "2", "state": "FAILED", "ended": 1007.0, "exit_code": 3}
    killed = {**over, "id": "1", "signal": 9, "exit_code": None}
    assert job_table([killed, over, JOB, waits], 4725.0).splitlines() == [
        "JOB  STATE    SLOTS  TIME     LEFT     NAME     REASON",
        "1    FAILED   2      0:00:07  -        jupyter  signal 9",
        "2    FAILED   2      0:00:07  -        jupyter  exit status 3",
        "3    RUNNING  2      1:02:05  7:01:15  jupyter",
        "14   PENDING  2      -        -        jupyter  needs 1 of the slots, 0 free",
    ]


def test_a_name_cannot_control_the_terminal():
    table = job_table([{**JOB, "name": "a\x1b[2Jb\nc"}], 1000.0)
    assert table.splitlines()[1].endswith("a?[2Jb?c")


def test_a_terminal_gets_a_table_and_a_program_json(queue):
    job_id = queue.submit("sleep 600", "--name=sleeper")
    queue.until(job_id, "RUNNING")
    assert list(queue.jobs()) == list(queue.jobs("--json")) == [job_id]
    shown = on_terminal(queue, "query").splitlines()
    assert re.split(" {2,}", shown[0]) == [
        "JOB",
        "STATE",
        "SLOTS",
        "TIME",
        "LEFT",
        "NAME",
        "REASON",
    ]
    assert re.fullmatch(rf"{job_id} +RUNNING +1 +0:\d\d:\d\d +- +sleeper", shown[1])
    listing = json.loads(on_terminal(queue, "query", "--json"))
    assert [job["id"] for job in listing["jobs"]] == [job_id]
    queue.run("cancel", job_id)
    queue.until(job_id)
    assert on_terminal(queue, "query") == "There is no job."


def on_terminal(queue, *argv: str) -> str:
    command = [*COMMAND[1:], *argv]
    text, status = pexpect.run(
        " ".join([sys.executable, *command]),
        env={**os.environ, **queue.environment},
        withexitstatus=True,
        timeout=120,
    )
    assert status == 0
    return text.decode().replace("\r\n", "\n").strip()
