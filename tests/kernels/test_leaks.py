"""What many kernels leave behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import os

from batchspawner.client import blocking_client
from batchspawner.kernels.jobs import allocator

from .driving import eventually

ROUNDS = int(os.environ.get("BATCHSPAWNER_ROUNDS", "5"))


def what_is_open():
    gc.collect()
    tasks = asyncio.all_tasks(blocking_client._loop)
    folders = sorted(
        one.name for one in allocator._allocator.registry.root.iterdir() if one.is_dir()
    )
    return len(os.listdir("/proc/self/fd")), len(tasks), folders


async def test_kernels_that_come_and_go_leave_nothing_behind(started, jobs, tmp_path):
    async def one_round(number):
        manager, client = await started(f"round{number}")
        client.stop_channels()
        await manager.shutdown_kernel(now=bool(number % 2))
        manager.context.destroy(linger=0)
        await eventually(lambda: jobs() == [])
        await eventually(lambda: what_is_open()[1:] == (0, []))

    await one_round(-2)
    await one_round(-1)
    before = what_is_open()
    for number in range(ROUNDS):
        await one_round(number)
    # A command of the scheduler may be running.
    await eventually(lambda: what_is_open()[0] <= before[0])
    assert sorted(os.listdir(tmp_path / "calls")) == ["certificate.pem", "kernels"]
