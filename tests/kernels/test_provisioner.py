from __future__ import annotations

import pytest
from jupyter_client.manager import AsyncKernelManager

from tests.sites import no_jobs_left


@pytest.fixture
async def started(site, specs, tmp_path):
    managers = []

    async def start(name="batch", **config):
        manager = AsyncKernelManager(
            kernel_name=name, kernel_spec_manager=specs(name, **config),
            connection_file=str(tmp_path / f"{name}.json"),
        )  # fmt: skip
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        managers.append((manager, client))
        await client.wait_for_ready(timeout=30)
        return manager, client

    yield start
    for manager, client in managers:
        client.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)


async def value(client, code, timeout=30):
    """Run code and return what it prints."""
    printed = []

    def output(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = await client.execute_interactive(code, timeout=timeout, output_hook=output)
    return reply["content"]["status"], "".join(printed)


async def test_a_kernel_runs_in_a_job(started, site):
    _, client = await started()
    jobs = site.jobs()
    assert await value(client, "import os; print(6 * 7)") == ("ok", "42\n")
    assert [state for _, _, state in jobs] == ["RUNNING"]


async def test_a_kernel_that_is_shut_down_gives_its_job_back(started, site):
    manager, _ = await started()
    await manager.shutdown_kernel()
    assert not await manager.is_alive()
    no_jobs_left(site)
