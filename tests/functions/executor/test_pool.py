"""A pool of workers whose jobs end in ways that no test can wait for, with workers made up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from batchspawner.errors import BatchError, JobCancelled, JobPreempted, NodeFailed, SubmitError
from batchspawner.functions.executor import pool as pools
from batchspawner.functions.executor.pool import Pool
from batchspawner.functions.executor.tasks import Task
from batchspawner.functions.executor.worker_providers import WorkerProvider, taken
from batchspawner.functions.futures import JobFuture
from batchspawner.functions.protocol.payload import make_call
from batchspawner.jobs import JobInfo, JobState

SECONDS = 10


class MadeUpHand:
    """Answer each call with its first argument, or end in the middle of it."""

    job = None
    is_ending = False

    def __init__(self, name, end):
        self.name, self.end = name, end
        self.frames = asyncio.Queue()

    async def send(self, data):
        for header, payload in taken(bytearray(data)):
            self.frames.put_nowait((header, payload))

    async def answers(self):
        yield {"type": "hello", "python": [0, 0, 0]}, b""
        while (frame := await self.frames.get()) is not None:
            header, _ = frame
            if header["type"] != "call":
                continue
            if self.end:
                return
            yield {"type": "result", "id": header["id"], "form": "json", "took": 0.0}, b'"done"'

    async def ending(self):
        return self.end

    def finish(self):
        self.frames.put_nowait(None)


class MadeUpCrew(WorkerProvider):
    """Bring workers that end as they are told, one after the other; the rest are good."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.brought = 0

    async def recruit(self, count):
        for _ in range(count):
            self.brought += 1
            self.on_hand(MadeUpHand(str(self.brought), self.ends.pop(0) if self.ends else None))


class SlowCrew(MadeUpCrew):
    """Bring one worker of however many were asked for, and count how often it is dismissed."""

    dismissed = 0

    async def recruit(self, count):
        await super().recruit(min(count, 1))

    async def dismiss(self):
        self.dismissed += 1


class TiredCrew(MadeUpCrew):
    """Bring workers that are about to end."""

    async def recruit(self, count):
        self.brought += count
        for number in range(count):
            hand = MadeUpHand(f"worker {self.brought - number}", None)
            hand.is_ending = True
            self.on_hand(hand)


class BlackHole(WorkerProvider):
    """Bring one worker that is at a call until the last, and others that die at once."""

    def __init__(self):
        self.brought = 0
        self.good = MadeUpHand("good", None)

    async def recruit(self, count):
        for _ in range(count):
            self.brought += 1
            self.on_hand(self.good if self.brought == 1 else DeadHand(str(self.brought), None))

    async def dismiss(self):
        pass


class DeadHand(MadeUpHand):
    async def answers(self):
        for frame in ():
            yield frame

    async def ending(self):
        return BatchError("it cannot start")


class NoCrew(WorkerProvider):
    async def recruit(self, count):
        raise SubmitError("The queue is closed.")


def ended(kind, state):
    return kind(JobInfo("17", state))


async def outcome(crew, calls=1, size=1, **settings):
    """Return what comes of calls."""
    pool = Pool(crew, size, **settings)
    futures = [JobFuture() for _ in range(calls)]
    pool.add([Task(one, make_call(pow, (2, 3), {})) for one in futures])
    pool.close()
    await asyncio.wait_for(pool.closed(), SECONDS)
    pool.close()
    found = []
    for one in futures:
        with contextlib.suppress(Exception):
            found.append(one.result(0))
            continue
        found.append(type(one.exception(0)))
    return found


@pytest.mark.parametrize(
    "end",
    [ended(NodeFailed, JobState.NODE_FAIL), ended(JobPreempted, JobState.PREEMPTED)],
    ids=str,
)
async def test_a_call_is_repeated_when_its_node_fails_or_its_job_is_preempted(end):
    crew = MadeUpCrew(end, end)
    assert (await outcome(crew, retries=2), crew.brought) == (["done"], 3)


async def test_a_call_is_repeated_only_so_often():
    crew = MadeUpCrew(*[ended(NodeFailed, JobState.NODE_FAIL)] * 3)
    assert (await outcome(crew, retries=2), crew.brought) == ([NodeFailed], 3)


async def test_a_call_whose_job_was_cancelled_is_not_repeated_but_those_behind_it_are():
    crew = MadeUpCrew(ended(JobCancelled, JobState.CANCELLED))
    assert await outcome(crew, calls=3) == [JobCancelled, "done", "done"]


async def test_calls_fail_with_the_reason_why_no_worker_comes():
    assert await outcome(NoCrew(), calls=2) == [SubmitError, SubmitError]


async def test_workers_who_do_not_come_are_not_waited_for_when_all_is_done(monkeypatch):
    monkeypatch.setattr(pools, "_LATE", 0.05)
    crew = SlowCrew()
    assert (await outcome(crew, calls=3, size=3), crew.dismissed) == (["done"] * 3, 1)


async def test_workers_that_come_for_nothing_are_not_asked_for_again_and_again():
    crew = TiredCrew()
    assert (await outcome(crew, calls=2), crew.brought) == ([BatchError] * 2, 3)


async def test_nodes_on_which_no_worker_starts_do_not_swallow_jobs_without_end(caplog):
    crew = BlackHole()
    held = asyncio.Event()
    answers = crew.good.answers

    async def slowly():
        async for frame in answers():
            if frame[0]["type"] == "result":
                await held.wait()
            yield frame

    crew.good.answers = slowly
    done = asyncio.ensure_future(outcome(crew, calls=9, size=3))
    until = asyncio.get_running_loop().time() + SECONDS
    while "going on with the 1 that work" not in caplog.text:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.01)
    held.set()
    assert (await done, crew.brought < 9) == (["done"] * 9, True)


class Patient(MadeUpCrew):
    """Bring all workers but the first when they are let in."""

    def __init__(self, *ends):
        super().__init__(*ends)
        self.gone, self.let_in = asyncio.Event(), asyncio.Event()

    async def recruit(self, count):
        if self.brought:
            self.gone.set()
            await self.let_in.wait()
        await super().recruit(count)


async def test_a_call_that_is_to_be_repeated_is_not_cancelled_with_those_that_wait():
    crew = Patient(ended(NodeFailed, JobState.NODE_FAIL))
    pool = Pool(crew, 1)
    futures = [JobFuture() for _ in range(3)]
    pool.add([Task(one, make_call(pow, (2, 3), {})) for one in futures])
    await asyncio.wait_for(crew.gone.wait(), SECONDS)
    pool.drop()
    pool.close()
    crew.let_in.set()
    await asyncio.wait_for(pool.closed(), SECONDS)
    assert futures[0].result(0) == "done"
    assert [one.cancelled() for one in futures[1:]] == [True, True]
