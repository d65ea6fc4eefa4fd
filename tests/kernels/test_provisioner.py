from __future__ import annotations

import asyncio
import logging
import re
import time

import pytest

from batchspawner.errors import JobCancelled, OptionsError, SubmitError
from batchspawner.jobs import JobState
from batchspawner.kernels.provisioner import variables_of_job

from .driving import TIMEOUT_S, begin, eventually, reply_to, run, value


async def test_a_kernel_runs_in_a_job(started, jobs):
    _, client = await started()
    assert await value(client, "import os; print(6 * 7)") == ("ok", "42\n")
    assert [state.upper() for _, state in jobs()] == ["RUNNING"]


async def test_a_kernel_that_is_shut_down_gives_its_job_back(started, jobs):
    manager, _ = await started()
    await manager.shutdown_kernel()
    assert not await manager.is_alive()
    await eventually(lambda: jobs() == [])


async def test_an_interrupt_ends_the_cell_and_not_the_kernel(started):
    manager, client = await started()
    await value(client, "x = 7")
    code = "print('here', flush=True); import time; time.sleep(600)"
    running = await begin(client, code)
    before = time.monotonic()
    await manager.interrupt_kernel()
    assert await running == ("error", "here\n")
    assert time.monotonic() - before < 30
    assert await value(client, "print(x)") == ("ok", "7\n")


async def test_an_interrupt_between_two_cells_harms_neither(started):
    manager, client = await started()
    for number in range(20):
        await manager.interrupt_kernel()
        assert await value(client, f"print({number})") == ("ok", f"{number}\n")


@pytest.mark.parametrize("now", [False, True])
async def test_a_restart_keeps_the_job_and_the_connection(started, now, jobs):
    manager, client = await started()
    await value(client, "x = 7")
    before = jobs()
    await manager.restart_kernel(now=now)
    assert await value(client, "print('x' in globals())") == ("ok", "False\n")
    assert jobs() == before


async def test_the_answer_to_input_comes_to_the_kernel(started):
    _, client = await started()
    cell = client.execute("print(input('who? '))", allow_stdin=True)
    assert (await client.get_stdin_msg(timeout=TIMEOUT_S))["content"]["prompt"] == "who? "
    client.input("ada")
    assert (await reply_to(client, cell))["status"] == "ok"


async def test_two_kernels_that_name_the_same_allocation_share_its_job(started, jobs):
    first, _ = await started("one", allocation="work")
    second, client = await started("two", allocation="work")
    assert len(jobs()) == 1
    await first.shutdown_kernel()
    assert await value(client, "print(1)") == ("ok", "1\n")
    await second.shutdown_kernel()
    await eventually(lambda: jobs() == [])


async def test_a_second_kernel_needs_no_scheduler(started, site):
    await started("one", allocation="work")
    site.break_down()
    try:
        manager, client = await started("two", allocation="work")
        code = "print('on', flush=True)\n__import__('time').sleep(60)"
        running = await begin(client, code)
        await manager.interrupt_kernel()
        assert await running == ("error", "on\n")
        await manager.restart_kernel()
        assert await value(client, "print(6 * 7)") == ("ok", "42\n")
        assert await manager.is_alive()
    finally:
        site.repair()


async def test_a_kernel_joins_a_job_by_its_id(started, jobs):
    await started("one")
    ((job_id, _),) = jobs()
    await started("two", jobid=job_id)
    assert [job for job, _ in jobs()] == [job_id]


async def test_a_kernel_that_its_client_ends_gives_its_job_back(another, jobs):
    one, _ = await another(linger=1)
    one.leave()
    await eventually(lambda: jobs() == [])


async def test_the_environment_in_kernel_json_can_name_variables_of_the_job(started, monkeypatch):
    monkeypatch.setenv("OF_THE_SERVER", "server")
    env = {"A": "${OF_THE_SERVER}:x", "B": "${OF_THE_JOB}/sub:$OF_THE_SERVER", "C": "${NO_SUCH}"}
    _, client = await started(env=env, prologue="export OF_THE_JOB=/scratch/7")
    code = "import os; print([os.environ[name] for name in 'ABC'])"
    assert await value(client, code) == (
        "ok",
        "['server:x', '/scratch/7/sub:server', '${NO_SUCH}']\n",
    )


def test_variables_of_a_job_in_which_the_server_runs_are_not_those_of_the_kernels_job():
    wanted = {"S": "${SLURM_TMPDIR}/$HOME", "D": "$$SLURM_JOB_ID", "E": "plain"}
    server = {"SLURM_TMPDIR": "/of/the/server", "SLURM_JOB_ID": "1", "HOME": "/home/ada"}
    assert variables_of_job(wanted, server) == (
        {"S": "${SLURM_TMPDIR}//home/ada"},
        {"S": ["SLURM_TMPDIR"]},
    )


async def test_a_job_without_kernels_lingers_for_the_next_one(started, jobs):
    manager, _ = await started("one", allocation="work", linger=30)
    before = jobs()
    await manager.shutdown_kernel()
    await started("two", allocation="work", linger=0)
    assert jobs() == before


async def test_a_job_id_that_holds_no_kernels_is_refused(started):
    with pytest.raises(OptionsError, match="jobid: '77' is not allowed"):
        await started(jobid="77")


async def test_a_refused_job_fails_the_start_in_the_words_of_the_scheduler(started, site):
    too_much = {"nprocs": "40"} if site.name == "local" else {"queue": "nowhere"}
    with pytest.raises(SubmitError, match="refused the job"):
        await started(**too_much)


async def test_a_kernel_waits_for_its_job_as_long_as_it_takes(served, site):
    site.fill()
    manager, client = await served()
    assert await manager.is_alive()
    running = asyncio.ensure_future(value(client, "print(1)", waits=True))
    await eventually(lambda: manager.provisioner._job.allocation.status)
    await asyncio.sleep(0.5)
    site.drain()
    status, printed, cleared = await running
    assert (status, printed) == ("ok", "1\n")
    assert re.search(r"Job \S+ is pending" + r" \(.*\)" * site.says_why, cleared)


async def test_a_kernel_starts_though_the_disk_became_full_while_it_waited(served, site, caplog):
    site.fill()
    manager, client = await served()
    await eventually(lambda: manager.provisioner._job.allocation.status)
    folder = manager.provisioner._job.folder
    (folder / f"kernel-{manager.kernel_id}.new").symlink_to("/dev/full")
    with caplog.at_level(logging.WARNING):
        site.drain()
        assert (await value(client, "print(1)", waits=True))[:2] == ("ok", "1\n")
    (said,) = [line for line in caplog.messages if "No space left on device" in line]
    assert said.startswith(f"The kernel in job {manager.provisioner._job.job_id} goes on, but ")


async def test_a_kernel_that_waits_says_that_it_is_idle_to_whoever_asks(served, site):
    site.fill()
    _, client = await served()
    client.kernel_info()
    state = {}
    # Clients such as JupyterLab take no state from what comes of questions about the kernel.
    while state.get("parent_header") != {}:
        state = await client.get_iopub_msg(timeout=TIMEOUT_S)
    assert (state["msg_type"], state["content"]) == ("status", {"execution_state": "idle"})


async def test_stopping_a_kernel_that_waits_cancels_its_job(served, jobs, site):
    site.fill()
    manager, _ = await served()
    before = jobs()
    await manager.shutdown_kernel()
    await eventually(lambda: len(jobs()) == len(before) - 1)


async def test_restarting_a_kernel_that_waits_keeps_its_place(served, jobs, site):
    site.fill()
    manager, client = await served()
    before = jobs()
    await manager.restart_kernel()
    assert jobs() == before
    site.drain()
    assert await value(client, "print(1)") == ("ok", "1\n")


async def test_interrupting_a_kernel_that_waits_gives_its_cells_up(served, site):
    site.fill()
    manager, client = await served()
    running = await begin(client, "print(1)")
    await manager.interrupt_kernel()
    assert (await running)[0] == "error"
    assert await manager.is_alive()


async def test_a_kernel_whose_job_is_cancelled_is_dead_and_its_cell_says_why(started, jobs, site):
    manager, client = await started()
    running = asyncio.ensure_future(run(client, "import time; time.sleep(60)"))
    await asyncio.sleep(0.3)
    ((job_id, _),) = jobs()
    site.cancel(job_id)
    reply = await running
    assert reply["ename"] == JobCancelled.__name__
    assert f"job {job_id} ended: cancelled" in reply["evalue"]
    assert not await manager.is_alive()


async def test_a_kernel_whose_job_is_gone_is_not_started_into_the_queue_again(served, jobs, site):
    manager, _ = await served()
    await eventually(lambda: [state.upper() for _, state in jobs()] == ["RUNNING"])
    dead = asyncio.Event()
    manager.add_restart_callback(dead.set, "dead")
    site.cancel(jobs()[0][0])
    await asyncio.wait_for(dead.wait(), TIMEOUT_S)
    assert jobs() == []


async def test_a_person_may_restart_a_kernel_whose_job_is_gone(served, jobs, site):
    manager, client = await served()
    await eventually(lambda: [state.upper() for _, state in jobs()] == ["RUNNING"])
    site.cancel(jobs()[0][0])
    await eventually(lambda: jobs() == [])
    await manager.restart_kernel()
    assert await value(client, "print(1)") == ("ok", "1\n")


async def test_a_restart_sees_that_a_job_has_ended_before_its_agent_called(
    served, jobs, site, tmp_path
):
    release = tmp_path / "release"
    manager, client = await served(prologue=f"test -e {release} || sleep 60")
    await eventually(lambda: [state.upper() for _, state in jobs()] == ["RUNNING"])
    await eventually(lambda: _is_known_to_run(manager))
    site.cancel(jobs()[0][0])
    await eventually(lambda: jobs() == [])
    release.touch()
    await manager.restart_kernel()
    assert await value(client, "print(1)") == ("ok", "1\n")


def _is_known_to_run(manager):
    status = manager.provisioner._job.allocation.status
    return status is not None and status.state is JobState.RUNNING


async def test_a_kernel_that_crashes_is_started_again_in_the_same_job(served, jobs):
    manager, client = await served()
    await value(client, "x = 7")
    before = jobs()
    restarted = asyncio.Event()
    manager.add_restart_callback(restarted.set, "restart")
    client.execute("import os; os.kill(os.getpid(), 9)")
    await asyncio.wait_for(restarted.wait(), TIMEOUT_S)
    assert await value(client, "print('x' in globals())") == ("ok", "False\n")
    assert jobs() == before


async def test_clients_of_the_same_machine_may_come_without_a_network(started, tmp_path):
    traits = {"transport": "ipc", "ip": str(tmp_path / "ipc")}
    manager, client = await started(traits=traits)
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")
    await manager.restart_kernel()
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")
