"""Kernels in a job that somebody else has made, and kernel.json files that others have written."""

from __future__ import annotations

import asyncio

import pytest

from ..driving import begin, eventually, run, value

WHERE = "import os; print(os.environ['SLURM_JOB_ID'], os.environ['SLURMD_NODENAME'])"


@pytest.fixture
def allocate(site, jobs):
    """Make jobs of which we know nothing, as a person does at a terminal; return their ids."""
    if site.name != "slurm":
        pytest.skip("it starts no programs in a job that runs")
    made = []

    def allocate(*options):
        command = ("sbatch", "--parsable", "--output=/dev/null", "--time=10", *options)
        made.append(site.cluster.run(*command, "--wrap=sleep 600").strip())
        return made[-1]

    yield allocate
    for job_id in made:
        site.cancel(job_id)


async def test_a_kernel_joins_a_job_that_outlives_it(allocate, started, jobs):
    job_id = allocate("--nodes=2")
    manager, client = await started("one", jobid=job_id, node="n2", runtime="5")
    assert await value(client, WHERE) == ("ok", f"{job_id} n2\n")
    left = "import os; print(int(os.environ['JOB_RUN_TIME']) in (9, 10))"
    assert await value(client, left) == ("ok", "True\n")
    other, neighbour = await started("two", jobid=job_id)
    assert await value(neighbour, WHERE) == ("ok", f"{job_id} n2\n")
    await manager.restart_kernel()
    assert await value(client, WHERE) == ("ok", f"{job_id} n2\n")
    await manager.shutdown_kernel()
    await other.shutdown_kernel()
    assert jobs() == [(job_id, "RUNNING")]


async def test_a_kernel_waits_for_a_job_that_somebody_else_has_made(allocate, served, site):
    site.fill()
    job_id = allocate()
    _, client = await served(jobid=job_id)
    running = await begin(client, WHERE, waits=True)
    site.drain()
    status, printed, cleared = await running
    assert (status, printed.split()[0]) == ("ok", job_id)
    assert f"Job {job_id} is pending" in cleared


async def test_a_kernel_ends_with_the_job_that_it_has_joined(allocate, started, site):
    job_id = allocate()
    manager, client = await started(jobid=job_id)
    running = asyncio.ensure_future(run(client, "import time; time.sleep(600)"))
    await asyncio.sleep(0.3)
    site.cancel(job_id)
    reply = await running
    assert f"job {job_id} ended: cancelled" in reply["evalue"]
    assert not await manager.is_alive()


async def test_a_kernel_ends_with_its_step_of_a_job(allocate, started, site, jobs):
    job_id = allocate()
    _, client = await started(jobid=job_id)
    running = asyncio.ensure_future(run(client, "import time; time.sleep(600)"))
    await asyncio.sleep(0.3)
    site.cancel(f"{job_id}.0")
    reply = await running
    assert reply["evalue"] == f"what held the kernels in job {job_id} was ended"
    assert jobs() == [(job_id, "RUNNING")]


async def test_a_kernel_in_such_a_job_lives_on_when_its_server_is_restarted(
    allocate, another, resumed, jobs
):
    job_id = allocate()
    other, info = await another(jobid=job_id)
    other.kill()
    manager, client = await resumed(other, info)
    assert (await value(client, WHERE))[1].split()[0] == job_id
    await manager.shutdown_kernel()
    assert jobs() == [(job_id, "RUNNING")]


async def test_a_file_of_jupyter_slurm_provisioner_starts_a_kernel(started, site, jobs):
    if site.name != "slurm":
        pytest.skip("such files are for Slurm")
    _, client = await started(
        provisioner="slurm-provisioner",
        project="zam",
        partition="normal",
        nodes="1",
        runtime=30,
        gpus="0",
        reservation="None",
        jobid="None",
        node="None",
        kernel_language="python",
    )
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")
    ((job_id, _),) = jobs()
    asked = site.cluster.run("squeue", "-h", "-j", job_id, "-o", "%P %l %D")
    assert asked == "normal 30:00 1\n"
    await eventually(lambda: [state for _, state in jobs()] == ["RUNNING"])
