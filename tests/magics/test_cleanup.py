"""Which folders of earlier notebooks are removed, and which are not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from batchspawner.errors import SchedulerUnavailable
from batchspawner.jobs import JobInfo, JobState
from batchspawner.magics.backends import cleanup

DAY = 86400


class Client:
    """A scheduler that knows the state of one job, or does not answer."""

    scheduler = SimpleNamespace(name="slurm")

    def __init__(self, state: JobState | None) -> None:
        self.state = state
        self.asked: list[str] = []

    async def status(self, job_id: str) -> JobInfo:
        self.asked.append(job_id)
        if self.state is None:
            raise SchedulerUnavailable("squeue", "it does not answer")
        return JobInfo(job_id, self.state)


@pytest.fixture
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def folder(tmp_path, monkeypatch, ended_pid):
    """Make the folder of a job whose notebook has ended, or that has another owner."""
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path))
    ours = {"scheduler": "slurm", "job": "7", "host": socket.gethostname(), "pid": ended_pid}

    def make(age: float = 0, **owner):
        made = tmp_path / "call"
        made.mkdir()
        (made / "log").touch()
        file = made / "cell.json"
        file.write_text(json.dumps({**ours, **owner}))
        moment = file.stat().st_mtime - age
        os.utime(file, (moment, moment))
        return made

    return make


async def removed(folder, state: JobState | None = JobState.COMPLETED) -> tuple[bool, list[str]]:
    """Clean up; return whether the folder is gone, and for which jobs the scheduler was asked."""
    client = Client(state)
    cleanup.remove_stale_folders(client)
    await asyncio.gather(*cleanup._tasks)
    return not folder.exists(), client.asked


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.CANCELLED])
async def test_the_folder_of_a_job_that_ended_after_its_notebook_is_removed(folder, state):
    assert await removed(folder(), state) == (True, ["7"])


@pytest.mark.parametrize(
    "state", [JobState.PENDING, JobState.RUNNING, JobState.COMPLETING, JobState.UNKNOWN, None]
)
async def test_the_folder_of_a_job_that_may_live_stays(folder, state):
    assert await removed(folder(), state) == (False, ["7"])


async def test_the_folder_of_a_notebook_that_lives_stays(folder):
    assert await removed(folder(pid=os.getpid())) == (False, [])


@pytest.mark.parametrize(("age", "asked"), [(0, []), (DAY - 60, []), (DAY + 60, ["7"])])
async def test_a_folder_of_another_host_stays_for_a_day(folder, age, asked):
    assert await removed(folder(age, host="another")) == (bool(asked), asked)


async def test_an_old_folder_of_a_living_notebook_of_this_host_stays(folder):
    assert await removed(folder(2 * DAY, pid=os.getpid())) == (False, [])


async def test_an_old_folder_of_another_host_stays_while_its_job_lives(folder):
    assert await removed(folder(2 * DAY, host="another"), JobState.RUNNING) == (False, ["7"])


async def test_the_folder_of_another_scheduler_stays(folder):
    assert await removed(folder(scheduler="local")) == (False, [])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scheduler": "slurm", "job": "7"}'])
async def test_a_folder_whose_owner_cannot_be_read_stays(folder, text):
    made = folder()
    (made / "cell.json").write_text(text)
    assert await removed(made) == (False, [])


async def test_what_one_process_writes_another_one_reads(folder):
    made = folder()
    client = Client(JobState.COMPLETED)
    call = SimpleNamespace(folder=made)
    cleanup.record_owner(SimpleNamespace(client=client, job_id="8", call=call))
    assert json.loads((made / "cell.json").read_text()) == {
        "scheduler": "slurm",
        "job": "8",
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
