from __future__ import annotations

import asyncio

import pytest

from batchspawner.spawners.backends.submit_queue import SubmitQueue, shared_queue


async def enter(queue, slot, order, leave):
    async with queue.turn(slot):
        order.append(slot.who)
        await leave.wait()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_are_inside():
    queue, order, leave = SubmitQueue(2), [], asyncio.Event()
    tasks = [
        asyncio.ensure_future(enter(queue, queue.reserve(str(n)), order, leave)) for n in range(5)
    ]
    await settle()
    assert order == ["0", "1"]
    leave.set()
    await asyncio.gather(*tasks)
    assert order == ["0", "1", "2", "3", "4"]


async def test_a_user_with_many_does_not_keep_the_others_waiting():
    queue, order, leave = SubmitQueue(1), [], asyncio.Event()
    users = ["ada", "ada", "ada", "ben", "cleo", "ben"]
    tasks = [asyncio.ensure_future(enter(queue, queue.reserve(who), order, leave)) for who in users]
    leave.set()
    await asyncio.gather(*tasks)
    assert order == ["ada", "ada", "ben", "cleo", "ada", "ben"]


async def test_a_slot_knows_how_many_are_before_it():
    queue = SubmitQueue(1)
    slots = [queue.reserve(who) for who in ("x", "ada", "ada", "ben", "ada")]
    assert [slot.ahead for slot in slots] == [0, 0, 2, 1, 3]


async def test_what_a_slot_says_is_what_happens():
    queue = SubmitQueue(1)
    users = [*"xaabcabca"]
    slots = [queue.reserve(who) for who in users]
    said = {id(slot): slot.ahead for slot in slots[1:]}
    places = []

    async def one(slot):
        async with queue.turn(slot):
            places.append(slot)

    await asyncio.gather(*(one(slot) for slot in slots))
    assert [said[id(slot)] for slot in places[1:]] == list(range(8))


async def test_who_gives_up_waiting_lets_the_others_by():
    queue, order, leave = SubmitQueue(1), [], asyncio.Event()
    slots = [queue.reserve(who) for who in ("ada", "ben", "cleo")]
    tasks = [asyncio.ensure_future(enter(queue, slot, order, leave)) for slot in slots]
    await settle()
    tasks[1].cancel()
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["ada", "cleo"]


async def test_who_is_cancelled_inside_gives_the_place_back():
    queue, order, leave = SubmitQueue(1), [], asyncio.Event()
    tasks = [
        asyncio.ensure_future(enter(queue, queue.reserve(who), order, leave))
        for who in ("ada", "ben")
    ]
    await settle()
    tasks[0].cancel()
    await settle()
    assert order == ["ada", "ben"]
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await tasks[1]


async def test_all_spawners_of_a_scheduler_share_a_queue():
    assert shared_queue("slurm", 3) is shared_queue("slurm", 4)
    assert shared_queue("slurm", 5).limit == 5
    assert shared_queue("slurm", 5) is not shared_queue("lsf", 5)
