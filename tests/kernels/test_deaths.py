"""Kernels whose job ends for reasons of the scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from batchspawner.errors import JobCancelled, JobTimeout
from tests.processes import runs

from .driving import TIMEOUT_S, eventually, run, value

SLEEP = "import time; time.sleep(600)"
EAT = "kept = []\nwhile True: kept.append(bytearray(10_000_000)); __import__('time').sleep(0.02)"


WALLTIMES = {"local": "0:00:04", "slurm": "0:01:00", "gridengine": "0:00:15"}
"""Slurm counts whole minutes."""


async def test_a_kernel_at_the_end_of_its_walltime_is_dead_and_its_cell_says_why(started, site):
    manager, client = await started(runtime=WALLTIMES[site.name])
    reply = await run(client, SLEEP)
    assert reply["ename"] == JobTimeout.__name__
    assert not await manager.is_alive()


@pytest.fixture
def small(jobs):
    """Shell commands that put a job into a control group which has little memory."""
    group = Path(f"/sys/fs/cgroup/memory/batchspawner-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("300M")
    except OSError:
        pytest.skip("control groups cannot be made here")
    yield f"echo $$ > {group}/cgroup.procs"
    for _ in range(100):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)


async def test_a_kernel_that_takes_too_much_memory_is_dead_and_its_cell_says_why(
    small, started, site
):
    if site.name != "local":
        pytest.skip("its jobs are not those of the superuser")
    _, client = await started(prologue=small)
    reply = await run(client, EAT)
    assert (reply["ename"], reply["evalue"][-58:]) == (
        "KernelDied",
        "died: it needed more memory than the job has; ask for more",
    )


async def test_a_kernel_whose_agent_is_killed_is_dead(started, jobs):
    manager, client = await started()
    agent = manager.provisioner._job.agent
    (kernel,) = [one.pid for one in agent.processes.values()]
    _, file = await value(client, "import ipykernel; print(ipykernel.get_connection_file())")
    running = asyncio.ensure_future(run(client, SLEEP, 60))
    await asyncio.sleep(0.3)
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(agent.facts["pid"])], check=True)
    reply = await running
    assert reply["status"] == "error"
    assert not await manager.is_alive()
    await eventually(lambda: not runs(kernel) and not Path(file.strip()).exists())


async def test_a_kernel_knows_how_long_its_job_may_run(started):
    _, client = await started(runtime="0:10:00")
    code = "import os; print(os.environ['JOB_START_TIME'], os.environ['JOB_RUN_TIME'])"
    began, lasts = map(int, (await value(client, code))[1].split())
    assert (abs(time.time() - began) < 60, lasts) == (True, 10)


async def test_a_kernel_knows_how_much_memory_its_job_has(small, started, site):
    if site.name != "local":
        pytest.skip("its jobs are not those of the superuser")
    _, client = await started(prologue=small)
    code = "import os; print(os.environ['MEM_LIMIT'])"
    assert (await value(client, code))[1] == f"{300 * 2**20}\n"


async def test_a_kernel_that_cannot_start_says_what_it_printed(served):
    argv = ["/bin/sh", "-c", "sleep 1; echo there is no such module; exit 3"]
    manager, client = await served("bad", kernel_argv=argv)
    dead = asyncio.Event()
    manager.add_restart_callback(dead.set, "dead")
    reply = await run(client, "1")
    said = f"the kernel in job {manager.provisioner._job.job_id} ended before it answered"
    assert reply["evalue"] == f"{said} (exit status 3)\nthere is no such module"
    await asyncio.wait_for(dead.wait(), TIMEOUT_S)


async def test_a_kernel_that_ends_while_no_cell_runs_says_why_all_the_same(started, jobs, site):
    manager, client = await started()
    site.cancel(jobs()[0][0])
    told = {"msg_type": ""}
    while told["msg_type"] != "error":
        told = await client.get_iopub_msg(timeout=TIMEOUT_S)
    assert (told["parent_header"], told["content"]["ename"]) == ({}, JobCancelled.__name__)
    await eventually(lambda: manager.provisioner._run.code is not None)
    assert (await run(client, "1"))["evalue"] == told["content"]["evalue"]
    await manager.restart_kernel()
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")


async def test_a_kernel_that_gets_the_signal_of_its_jobs_end_first_says_why(
    started, jobs, site, monkeypatch
):
    if site.name != "local":
        pytest.skip("its kernels are processes of this machine")
    monkeypatch.setattr("batchspawner.kernels.kernel_run._AGENT_SIGNAL_TIMEOUT_S", 60)
    manager, client = await started()
    (kernel,) = [one.pid for one in manager.provisioner._job.agent.processes.values()]
    running = asyncio.ensure_future(run(client, SLEEP, 60))
    os.kill(kernel, signal.SIGTERM)
    await eventually(lambda: not runs(kernel))
    site.cancel(jobs()[0][0])
    assert (await running)["ename"] == JobCancelled.__name__


QUEUED_AGAIN = (
    "job {} was put back into the queue, so what ran in it is gone: its node was lost, or it had "
    "to make room"
)


async def test_a_kernel_whose_job_is_queued_again_is_dead_and_waits_for_nothing(
    started, jobs, site
):
    if not site.can_requeue:
        pytest.skip("it puts no job back")
    manager, client = await started(options="-r y" if site.name == "gridengine" else None)
    running = asyncio.ensure_future(run(client, SLEEP, 60))
    await asyncio.sleep(0.3)
    ((job_id, _),) = jobs()
    site.requeue(job_id)
    reply = await running
    assert reply["evalue"] == QUEUED_AGAIN.format(job_id)
    assert not await manager.is_alive()
    await eventually(lambda: jobs() == [])


async def test_a_kernel_whose_node_is_lost_is_dead_and_its_cell_says_why(started, jobs, site):
    if site.name != "slurm":
        pytest.skip("only on Slurm can the tests lose a node within a minute")
    manager, client = await started()
    running = asyncio.ensure_future(run(client, SLEEP, 120))
    ((job_id, _),) = jobs()
    node = site.cluster.node_of(job_id)
    site.cluster.lose(node, job_id)
    try:
        reply = await running
        assert reply["evalue"] == QUEUED_AGAIN.format(job_id)
        assert not await manager.is_alive()
        await eventually(lambda: jobs() == [])
    finally:
        site.cluster.start()
