from __future__ import annotations

import asyncio

import pytest

from batchspawner.concurrency import within


async def test_a_result_in_time_is_returned():
    assert await within(5, asyncio.sleep(0, "done")) == "done"
    assert await within(None, asyncio.sleep(0, "done")) == "done"


async def test_what_goes_wrong_is_raised():
    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(5, fail())


async def test_work_that_takes_too_long_is_cancelled():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, work())
    assert ended == [True]


async def test_a_cancellation_that_comes_with_the_result_is_heard():
    begun = asyncio.Event()

    async def work():
        begun.set()
        await asyncio.sleep(0)

    async def loop_for_ever():
        while True:
            await within(5, work())

    task = asyncio.ensure_future(loop_for_ever())
    for ticks in range(1, 200):
        await begun.wait()
        for _ in range(ticks % 7):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done, f"cancelled after {ticks % 7} ticks, it went on"
        begun.clear()
        task = asyncio.ensure_future(loop_for_ever())
    task.cancel()
    await asyncio.wait([task])
