"""Several server processes, beside each other and one after the other."""

from __future__ import annotations

import asyncio

from .driving import TIMEOUT_S, eventually, value


async def test_a_kernel_of_another_process_shares_a_job(another, started, jobs):
    other, _ = await another("one", allocation="work")
    before = jobs()
    manager, client = await started("two", allocation="work")
    assert (await value(client, "print(6 * 7)"), jobs()) == (("ok", "42\n"), before)
    await manager.shutdown_kernel()
    assert jobs() == before
    other.shut_down()
    await eventually(lambda: jobs() == [])


async def test_a_job_outlives_the_process_that_submitted_it(another, started, jobs):
    other, _ = await another("one", allocation="work")
    manager, client = await started("two", allocation="work")
    before = jobs()
    other.shut_down()
    assert (await value(client, "print(6 * 7)"), jobs()) == (("ok", "42\n"), before)
    await manager.shutdown_kernel()
    await eventually(lambda: jobs() == [])


async def test_kernels_of_two_processes_wait_for_one_job(another, served, site, jobs):
    site.fill()
    await another("one", allocation="work", wait="false")
    before = jobs()
    _, client = await served("two", allocation="work")
    assert jobs() == before
    site.drain()
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")


async def test_a_job_whose_process_was_killed_is_taken_over(another, started, jobs):
    other, _ = await another("one", allocation="work")
    before = jobs()
    other.kill()
    _, client = await started("two", allocation="work")
    assert (await value(client, "print(6 * 7)"), jobs()) == (("ok", "42\n"), before)


async def test_a_job_that_ended_after_its_process_is_not_waited_for(another, started, jobs, site):
    other, _ = await another("one", allocation="work")
    ((job_id, _),) = jobs()
    other.kill()
    site.cancel(job_id)
    await eventually(lambda: jobs() == [])
    _, client = await started("two", allocation="work")
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")


async def test_a_kernel_lives_on_when_its_server_is_restarted(another, resumed, jobs):
    other, info = await another()
    before = jobs()
    other.kill()
    manager, client = await resumed(other, info)
    assert await value(client, "x = 7; print(6 * 7)") == ("ok", "42\n")
    assert (manager.provisioner.connection_info["shell_port"], jobs()) == (
        info["connection_info"]["shell_port"],
        before,
    )
    await manager.interrupt_kernel()
    assert await value(client, "print(x)") == ("ok", "7\n")
    await manager.shutdown_kernel()
    await eventually(lambda: jobs() == [])


async def test_a_kernel_that_waits_goes_on_waiting_when_its_server_is_restarted(
    another, resumed, site, jobs
):
    site.fill()
    other, info = await another(wait="false")
    before = jobs()
    other.kill()
    _, client = await resumed(other, info)
    running = asyncio.ensure_future(value(client, "print(6 * 7)"))
    assert jobs() == before
    site.drain()
    assert await running == ("ok", "42\n")


async def test_a_kernel_whose_job_ended_while_the_server_was_away_is_dead(
    another, resumed, site, jobs
):
    other, info = await another()
    other.kill()
    site.cancel(jobs()[0][0])
    await eventually(lambda: jobs() == [])
    manager, _ = await resumed(other, info)
    alive = asyncio.ensure_future(eventually_dead(manager))
    await asyncio.wait_for(alive, TIMEOUT_S)


async def eventually_dead(manager):
    while await manager.is_alive():
        await asyncio.sleep(0.1)
