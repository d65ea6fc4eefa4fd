"""Workers come in arrays where the scheduler has them, and in as many as its site allows."""

from __future__ import annotations

import pytest

from batchspawner.allocation.agent_handle import AgentHandle
from batchspawner.client.batch_client import BatchClient
from batchspawner.commands import CommandResult
from batchspawner.errors import NodeFailed, SubmitError
from batchspawner.functions.executor.job_workers import JobWorkerProvider


class Site(BatchClient):
    """Client of a site that takes arrays up to a size, and no jobs at all if that is 0."""

    def __init__(self, largest, scheduler="slurm"):
        super().__init__(scheduler)
        self.scripts = []
        self.largest, self.taken, self.cancelled = largest, [], []

    async def submit(self, request):
        size = request.elements
        if size > self.largest:
            word = "Invalid job array specification" if self.largest else "Invalid account"
            argv = self.scheduler.submit(request).argv
            raise SubmitError("no", CommandResult(argv, 1, "", f"sbatch: error: {word}"))
        self.taken.append(size)
        self.scripts.append(request.script)
        return str(len(self.taken))

    async def cancel(self, *job_ids):
        self.cancelled += job_ids


@pytest.fixture
def request_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path))

    async def request(largest, count):
        site = Site(largest)
        provider = JobWorkerProvider(site, {}, python="python3", network=False)
        failed = []
        provider.on_failure = lambda missing, error: failed.append((missing, error.result.stderr))
        await provider.request_workers(count)
        for task in provider._tasks:
            task.cancel()
        for allocation in provider._missing_workers:
            await allocation.close()
        return site.taken, failed

    return request


async def test_all_workers_are_one_array(request_workers):
    assert await request_workers(1000, 200) == ([200], [])


async def test_a_single_worker_is_no_array(request_workers):
    assert await request_workers(1000, 1) == ([1], [])


async def test_more_workers_than_an_array_holds_are_several(request_workers):
    assert await request_workers(1000, 2300) == ([1000, 1000, 300], [])


async def test_a_refused_array_is_tried_in_parts(request_workers):
    assert await request_workers(300, 1000) == ([250, 250, 250, 250], [])


async def test_another_refusal_is_told_once(request_workers):
    assert await request_workers(0, 200) == ([], [(200, "sbatch: error: Invalid account")])


@pytest.mark.parametrize(("missing", "cancelled"), [(3, ["1"]), (2, ["1"]), (0, [])])
async def test_elements_that_have_not_begun_are_cancelled_in_the_end(
    missing, cancelled, tmp_path, monkeypatch
):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path))
    site = Site(1000)
    provider = JobWorkerProvider(site, {}, python="python3", network=False)
    await provider.request_workers(3)
    provider._missing_workers = dict.fromkeys(provider._missing_workers, missing)
    await provider.close()
    assert site.cancelled == cancelled


async def test_a_job_that_is_started_again_has_lost_its_first_agent():
    provider = JobWorkerProvider(Site(1), {}, python="python3", network=False)
    agents = [AgentHandle(host, {"host": host}) for host in ("node1", "node2")]
    for agent in agents:
        provider._replace_agent("12", agent)
    assert [type(agent.over) for agent in agents] == [NodeFailed, type(None)]
    assert "node1 was lost, and the job was started again on node2" in str(agents[0].over)


@pytest.mark.parametrize(
    ("scheduler", "line"),
    [
        ("slurm", "#SBATCH --job-name=nightly"),
        ("pbspro", "#PBS -N nightly"),
        ("lsf", "#BSUB -J nightly"),
        ("local", "#QUEUE --name=nightly"),
    ],
)
async def test_jobs_have_the_name_that_their_executor_was_given(
    tmp_path, monkeypatch, scheduler, line
):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path))
    site = Site(1, scheduler)
    options = {"job_name": "nightly"}
    provider = JobWorkerProvider(site, options, python="python3", network=False)
    await provider.request_workers(1)
    for task in provider._tasks:
        task.cancel()
    for allocation in provider._missing_workers:
        await allocation.close()
    (script,) = site.scripts
    named = [one for one in script.splitlines() if one.endswith("nightly")]
    assert named == [line]
