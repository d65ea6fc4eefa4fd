from __future__ import annotations

import asyncio
import gc

import pytest

from batchspawner.concurrency import SmallEvent, any_set, turn, within
from tests.loops import Rounds


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


async def test_each_of_many_callers_has_a_round_of_the_loop_of_its_own():
    seen = []

    async def work(rounds):
        await turn()
        seen.append(rounds.number)

    async with Rounds() as rounds:
        await asyncio.gather(*(work(rounds) for _ in range(5)))
    assert len(set(seen)) == 5


MADE_WITHOUT_A_LOOP = SmallEvent()


async def test_an_event_wakes_all_who_wait_for_it_until_it_is_cleared():
    event = MADE_WITHOUT_A_LOOP
    waiting = [asyncio.ensure_future(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    event.set()
    await within(5, asyncio.wait(waiting))
    await within(5, event.wait())
    event.clear()
    assert not event.is_set()
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, event.wait())


async def test_any_of_several_events_ends_a_wait_for_them():
    events = [SmallEvent(), SmallEvent()]
    assert not await any_set(events, timeout=0.01)
    asyncio.get_running_loop().call_soon(events[1].set)
    assert await any_set(events, timeout=60)
    assert await any_set(events)


async def test_an_event_forgets_who_waits_no_longer():
    events = [SmallEvent(), SmallEvent()]
    tasks = [asyncio.ensure_future(any_set(events, timeout)) for timeout in (None, 0.01)]
    await asyncio.sleep(0)
    assert any(isinstance(one, tuple) and one for one in gc.get_referents(*events))
    tasks[0].cancel()
    assert not await tasks[1]
    assert tasks[0].cancelled()
    assert not any(isinstance(one, tuple) and one for one in gc.get_referents(*events))
