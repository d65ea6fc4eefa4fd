"""Connections to a listener by somebody who has no key."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess

import pytest

from batchspawner.allocation import unknown_connections
from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.listener import Listener
from batchspawner.concurrency import within

SECONDS = 60


@pytest.fixture
async def listener(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    one = await Listener.open("127.0.0.1")
    yield one
    await one.close()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"BSC1"])
async def test_an_agent_is_heard_although_many_others_only_hold_connections(
    listener, tmp_path, said
):
    call = CallFolder.create(tmp_path / "call", linger=20)
    listener.expect(call)
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            one = await asyncio.open_connection(*listener.addresses[0])
            stack.callback(one[1].close)
            one[1].write(said)
        job = subprocess.Popen(
            call.command, shell=True, start_new_session=True, stderr=subprocess.PIPE
        )
        agent = await within(SECONDS, call.next_agent())
        agent.finish()
        loop = asyncio.get_running_loop()
        _, printed = await within(SECONDS, in_thread(loop, job.communicate))
    # It was let in at its first attempt.
    assert printed == b""


async def in_thread(loop, function):
    return await loop.run_in_executor(None, function)


async def test_the_oldest_of_an_address_has_to_go_first(listener, monkeypatch):
    monkeypatch.setattr(unknown_connections, "_MAX_OF_AN_ADDRESS", 2)
    ends = [await asyncio.open_connection(*listener.addresses[0]) for _ in range(3)]
    assert await within(SECONDS, ends[0][0].read()) == b""
    reading = [asyncio.ensure_future(one.read()) for one, _ in ends[1:]]
    assert (await asyncio.wait(reading, timeout=0.2))[0] == set()
    for task, (_, writer) in zip(reading, ends[1:]):
        task.cancel()
        writer.close()
    ends[0][1].close()


def test_a_host_has_one_share_whatever_addresses_it_uses():
    same = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.2"]
    assert {unknown_connections._origin(one) for one in same} == {"loopback"}
    others = ["10.0.0.1", "::ffff:10.0.0.1"]
    assert {unknown_connections._origin(one) for one in others} == {"10.0.0.1"}
    assert unknown_connections._origin("fe80::1%eth0") == "fe80::1"


async def test_the_oldest_of_all_goes_where_each_address_is_within_its_share():
    held = unknown_connections.UnknownConnections()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_future() for _ in range(257)]
    for number, task in enumerate(tasks):
        held.add(task, f"10.{number // 256}.{number % 256}.1")
    assert [task.cancelled() for task in tasks] == [True, *[False] * 256]


async def test_one_that_has_sent_something_stays_before_those_that_are_silent():
    held = unknown_connections.UnknownConnections()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_future() for _ in range(66)]
    held.add(tasks[0], "10.0.0.1")
    held.note_speech(tasks[0])
    for task in tasks[1:]:
        held.add(task, "10.0.0.1")
    assert [task.cancelled() for task in tasks] == [False, True, True, *[False] * 63]
