"""Jobs that are preempted or lose their node, and wait in the queue again under the same id."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

import batchspawner.functions as slurminade
from batchspawner.allocation import allocation
from batchspawner.client.batch_client import BatchClient
from batchspawner.client.blocking_client import run
from batchspawner.errors import JobFailed, JobTimeout
from batchspawner.functions import Executor
from batchspawner.functions.dispatch import batch
from batchspawner.functions.executor import provider_selection
from batchspawner.functions.executor.worker_handles import JobRequeued, interruption
from batchspawner.jobs import JobInfo, JobState
from tests.functions import tasks
from tests.functions.tasks import SECONDS


class Watch:
    """What a scheduler says of one job; the test changes it."""

    def __init__(self, statuses, job_id):
        self.statuses, self.job_id, self.interval = statuses, job_id, 1.0

    @property
    def status(self):
        return self.statuses.get(self.job_id)

    async def renewed(self):
        return await self.change()

    async def change(self, seen=None):
        while self.status is None or self.status == seen:
            await asyncio.sleep(0.02)
        return self.status

    def hurry(self):
        pass

    def close(self):
        pass


class Requeuing(BatchClient):
    """Client of the embedded queue whose jobs can be requeued, as Slurm does."""

    def __init__(self):
        super().__init__("local")
        self.statuses, self.requests = {}, {}

    async def submit(self, request):
        job_id = await super().submit(request)
        self.requests[job_id] = request
        self.statuses[job_id] = JobInfo(job_id, JobState.RUNNING)
        return job_id

    def watch(self, job_id, *_):
        return Watch(self.statuses, job_id)

    def wait_again(self, job_id):
        self.statuses[job_id] = JobInfo(job_id, JobState.PENDING, reason="BeginTime")

    def start_again(self, job_id):
        """Start the script of a job for a second time; the embedded queue gives it a new id."""
        again = run(BatchClient.submit(self, replace(self.requests[job_id], tag="again")))
        self.statuses[job_id] = JobInfo(job_id, JobState.RUNNING)
        return again


@pytest.fixture
def client(queue, monkeypatch):
    client = Requeuing()
    monkeypatch.setattr(provider_selection, "client_for", lambda _: client)
    monkeypatch.setattr(batch, "client_for", lambda _: client)
    monkeypatch.setattr(allocation, "_SILENT_INTERVAL_S", 0.5)
    slurminade.set_dispatcher(None)
    yield client
    slurminade.set_dispatcher(None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_call_of_a_requeued_job_is_repeated_when_the_job_starts_again(client, tmp_path, number):
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Executor("local", workers=1) as one:
        future = one.submit(tasks.process_of_agent, str(begun), str(go))
        interrupt(client, begun, number)
        (job_id,) = client.requests
        go.touch()
        client.start_again(job_id)
        assert future.result(SECONDS) == str(go)
        assert list(client.requests) == [job_id]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_of_one_call_does_it_when_it_starts_again(client, tmp_path, number):
    begun, go = tmp_path / "begun", tmp_path / "go"
    future = slurminade.slurmify(tasks.process_of_agent).distribute(str(begun), str(go))
    interrupt(client, begun, number)
    go.touch()
    job_id = str(future.get_job_id())
    again = client.start_again(job_id)
    # The call may be done before its job has called home; then the job's end tells of the result.
    client.statuses[job_id] = run(BatchClient("local").wait(again, 0.5))
    assert future.result(SECONDS) == str(go)


def interrupt(client, begun, number):
    """Kill the agent of the job that has begun, which its scheduler then lists as waiting."""
    tasks.wait_for_file(begun)
    agent = int(begun.read_text())
    begun.unlink()
    (job_id,) = client.requests
    client.wait_again(job_id)
    os.kill(agent, number)


ENDS = {
    "requeued": ([JobState.COMPLETING, JobState.PENDING], JobRequeued),
    "held": ([JobState.RUNNING, JobState.HELD], JobRequeued),
    "timeout": ([JobState.RUNNING, JobState.TIMEOUT], JobTimeout),
    "failed": ([JobState.FAILED], JobFailed),
    "done": ([JobState.COMPLETED], type(None)),
}


@pytest.mark.parametrize(("states", "error"), ENDS.values(), ids=ENDS)
async def test_why_a_job_runs_no_longer_is_asked_of_the_scheduler(client, states, error):
    client.statuses["7"] = JobInfo("7", states[0])
    asking = asyncio.ensure_future(interruption(client, "7"))
    for state in states[1:]:
        await asyncio.sleep(0.05)
        assert not asking.done()
        client.statuses["7"] = JobInfo("7", state)
    assert type(await asking) is error
