"""A pool with fake workers, whose jobs end in ways that no test can wait for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import time
from collections import deque

import pytest

from batchspawner.concurrency import within
from batchspawner.errors import (
    BatchError,
    JobCancelled,
    JobLost,
    JobPreempted,
    NodeFailed,
    SubmitError,
)
from batchspawner.functions.executor import pool as pools
from batchspawner.functions.executor.pool import Pool
from batchspawner.functions.executor.tasks import Task
from batchspawner.functions.executor.worker_providers import WorkerProvider
from batchspawner.functions.futures import JobFuture
from batchspawner.functions.protocol.frames import take_frames
from batchspawner.functions.protocol.payload import make_call
from batchspawner.functions.protocol.results import RemoteError
from batchspawner.jobs import JobInfo, JobState

SECONDS = 60


class FakeHandle:
    """Handle of a worker that answers each call, or ends in the middle of it."""

    job = spool = None
    is_ending = False

    def __init__(self, name, end):
        self.name, self.end = name, end
        self.frames = asyncio.Queue()

    async def send(self, data):
        for header, payload in take_frames(bytearray(data)):
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

    async def exit_reason(self):
        return self.end

    def finish(self):
        self.frames.put_nowait(None)


class FakeProvider(WorkerProvider):
    """Provider of workers that end with given errors, one after the other; later ones are good."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.started = 0

    async def request_workers(self, count):
        for _ in range(count):
            self.started += 1
            self.on_worker(FakeHandle(str(self.started), self.ends.pop(0) if self.ends else None))


class SlowProvider(FakeProvider):
    """Provider that starts one of the requested workers, and counts how often it is closed."""

    times_closed = 0

    async def request_workers(self, count):
        await super().request_workers(min(count, 1))

    async def close(self):
        self.times_closed += 1


class TiredProvider(FakeProvider):
    """Provider of workers that are about to end."""

    async def request_workers(self, count):
        self.started += count
        for number in range(count):
            handle = FakeHandle(f"worker {self.started - number}", None)
            handle.is_ending = True
            self.on_worker(handle)


class BlackHole(WorkerProvider):
    """Provider of one worker that is at a call until the end, and others that die at once."""

    def __init__(self):
        self.started = 0
        self.good = FakeHandle("good", None)

    async def request_workers(self, count):
        for _ in range(count):
            self.started += 1
            self.on_worker(self.good if self.started == 1 else DeadHandle(str(self.started), None))

    async def close(self):
        pass


class DeadHandle(FakeHandle):
    async def answers(self):
        for frame in ():
            yield frame

    async def exit_reason(self):
        return BatchError("it cannot start")


class BrokenProvider(FakeProvider):
    """Provider of workers that cannot start, each only when an earlier one has ended."""

    async def request_workers(self, count):
        for _ in range(count):
            self.started += 1
            handle = DeadHandle(str(self.started), None)
            asyncio.get_running_loop().call_later(0.01 * self.started, self.on_worker, handle)


class RefusingProvider(WorkerProvider):
    async def request_workers(self, count):
        raise SubmitError("The queue is closed.")


def ended(kind, state):
    return kind(JobInfo("17", state))


async def outcome(provider, calls=1, size=1, **settings):
    """Run calls; return the value or the kind of the exception of each."""
    pool = Pool(provider, size, **settings)
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
    [
        ended(NodeFailed, JobState.NODE_FAIL),
        ended(JobPreempted, JobState.PREEMPTED),
        JobLost("17"),
    ],
    ids=["node failed", "preempted", "lost"],
)
async def test_a_call_is_repeated_whose_node_fails_or_whose_job_is_preempted_or_lost(end):
    provider = FakeProvider(end, end)
    assert (await outcome(provider, retries=2), provider.started) == (["done"], 3)


@pytest.mark.parametrize(
    "answer",
    [
        {"took": "long"},
        {"took": None},
        {"id": 4711},
        {"id": []},
        {"type": "error", "form": 5},
        {"type": "given back", "ids": [1, 4711]},
        {"type": "given back", "ids": None},
        {"type": "hello", "python": 3},
    ],
    ids=str,
)
async def test_no_call_waits_for_an_answer_that_nobody_can_read(answer):
    """Whatever a call has written to where its worker answers."""

    class Garbler(FakeHandle):
        async def answers(self):
            async for header, data in super().answers():
                yield (header if header["type"] == "hello" else {**header, **answer}), data

    class Provider(FakeProvider):
        async def request_workers(self, count):
            self.started += count
            for number in range(count):
                kind = Garbler if self.started == 1 else FakeHandle
                self.on_worker(kind(f"worker {number}", None))

    found = await outcome(Provider(), calls=3)
    assert found in ([BatchError, "done", "done"], [RemoteError] * 3)


async def test_a_call_is_repeated_only_so_often():
    provider = FakeProvider(*[ended(NodeFailed, JobState.NODE_FAIL)] * 3)
    assert (await outcome(provider, retries=2), provider.started) == ([NodeFailed], 3)


async def test_a_call_whose_job_was_cancelled_is_not_repeated_but_those_behind_it_are():
    provider = FakeProvider(ended(JobCancelled, JobState.CANCELLED))
    assert await outcome(provider, calls=3) == [JobCancelled, "done", "done"]


async def test_calls_fail_with_the_reason_why_no_worker_starts():
    assert await outcome(RefusingProvider(), calls=2) == [SubmitError, SubmitError]


async def test_workers_that_do_not_start_are_not_awaited_when_all_calls_are_done(monkeypatch):
    monkeypatch.setattr(pools, "_LATE_WORKER_TIMEOUT_S", 0.05)
    provider = SlowProvider()
    assert (await outcome(provider, calls=3, size=3), provider.times_closed) == (["done"] * 3, 1)


async def test_workers_that_end_without_a_call_are_not_requested_again_and_again():
    provider = TiredProvider()
    assert (await outcome(provider, calls=2), provider.started) == ([BatchError] * 2, 3)


async def test_nodes_on_which_no_worker_starts_do_not_get_jobs_without_end(caplog):
    provider = BlackHole()
    held = asyncio.Event()
    answers = provider.good.answers

    async def slowly():
        async for frame in answers():
            if frame[0]["type"] == "result":
                await held.wait()
            yield frame

    provider.good.answers = slowly
    done = asyncio.ensure_future(outcome(provider, calls=9, size=3))
    until = asyncio.get_running_loop().time() + SECONDS
    while "going on with 1, no more are requested" not in caplog.text:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.01)
    held.set()
    assert (await done, provider.started < 9) == (["done"] * 9, True)


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_a_program_that_no_worker_can_start_ends_all_calls_after_a_few_workers(size):
    provider = BrokenProvider()
    assert await outcome(provider, calls=5, size=size) == [BatchError] * 5
    assert provider.started <= 2 + size


async def test_calls_that_are_added_when_workers_start_again_are_done():
    provider = BrokenProvider()
    pool = Pool(provider, 2)
    refused = [JobFuture() for _ in range(2)]
    pool.add([Task(one, make_call(pow, (2, 3), {})) for one in refused])
    await within(SECONDS, asyncio.to_thread(concurrent.futures.wait, refused))
    provider.request_workers = FakeProvider.request_workers.__get__(provider)
    later = JobFuture()
    pool.add([Task(later, make_call(pow, (2, 3), {}))])
    assert await within(SECONDS, asyncio.to_thread(later.result)) == "done"
    pool.close()
    await within(SECONDS, pool.closed())


class WaitingProvider(FakeProvider):
    """Provider that starts all workers but the first only when it is allowed to."""

    def __init__(self, *ends):
        super().__init__(*ends)
        self.gone, self.allowed = asyncio.Event(), asyncio.Event()

    async def request_workers(self, count):
        if self.started:
            self.gone.set()
            await self.allowed.wait()
        await super().request_workers(count)


async def test_a_call_that_is_to_be_repeated_is_not_cancelled_with_those_that_wait():
    provider = WaitingProvider(ended(NodeFailed, JobState.NODE_FAIL))
    pool = Pool(provider, 1)
    futures = [JobFuture() for _ in range(3)]
    pool.add([Task(one, make_call(pow, (2, 3), {})) for one in futures])
    await asyncio.wait_for(provider.gone.wait(), SECONDS)
    pool.cancel_waiting()
    pool.close()
    provider.allowed.set()
    await asyncio.wait_for(pool.closed(), SECONDS)
    assert futures[0].result(0) == "done"
    assert [one.cancelled() for one in futures[1:]] == [True, True]


class RecordingHandle(FakeHandle):
    """Handle that records the first argument of each call, and waits or ends at one of them."""

    def __init__(self, name, end=None, *, end_at=None, wait_at=None):
        super().__init__(name, end)
        self.seen, self.calls = [], deque()
        self.end_at, self.wait_at = end_at, wait_at
        self.waits, self.held = asyncio.Event(), None

    async def send(self, data):
        for header, payload in take_frames(bytearray(data)):
            if header["type"] == "give back":
                # As a worker does: the last one first.
                ids = [number for number, _ in reversed(self.calls)]
                self.calls.clear()
                self.frames.put_nowait(({"type": "given back", "ids": ids}, b""))
            elif header["type"] == "call":
                self.calls.append((header["id"], json.loads(payload)[0][0]))
        if self.held is None:
            self.do_calls()

    def do_calls(self):
        while self.calls:
            number, argument = self.calls.popleft()
            self.seen.append(argument)
            if argument == self.end_at:
                self.finish()
                return
            answer = {"type": "result", "id": number, "form": "json", "took": 0.0}, b"0"
            if argument == self.wait_at:
                self.waits.set()
                self.held = answer
                return
            self.frames.put_nowait(answer)

    def go_on(self):
        self.frames.put_nowait(self.held)

    async def answers(self):
        yield {"type": "hello", "python": [0, 0, 0]}, b""
        while (frame := await self.frames.get()) is not None:
            yield frame


class GivenProvider(WorkerProvider):
    """Provider of given workers, each of which starts when it is requested and allowed to."""

    def __init__(self, *handles):
        self.left = list(handles)
        self.allowed = {one: asyncio.Event() for one in handles}

    async def request_workers(self, count):
        for _ in range(count):
            handle = self.left.pop(0)
            await self.allowed[handle].wait()
            self.on_worker(handle)

    def allow(self, handle):
        self.allowed[handle].set()


def numbered(numbers):
    return [Task(JobFuture(), make_call(pow, (number, 2), {})) for number in numbers]


def results(tasks):
    return [asyncio.wrap_future(one.future) for one in tasks]


async def finish(pool):
    pool.close()
    await within(SECONDS, pool.closed())


async def test_the_calls_of_a_dead_worker_are_repeated_in_their_order():
    first = RecordingHandle("first", ended(NodeFailed, JobState.NODE_FAIL), end_at=3)
    second = RecordingHandle("second")
    provider = GivenProvider(first, second)
    pool = Pool(provider, 1)
    provider.allow(first), provider.allow(second)
    tasks = numbered(range(20))
    pool.add(tasks)
    await finish(pool)
    assert (first.seen, second.seen) == ([0, 1, 2, 3], list(range(3, 20)))
    assert [one.tries for one in tasks] == [0, 0, 0, 1, *[0] * 16]


async def test_calls_behind_a_long_one_go_to_another_worker_in_their_order():
    stuck, other = RecordingHandle("stuck", wait_at=9), RecordingHandle("other")
    provider = GivenProvider(stuck, other)
    pool = Pool(provider, 2)
    provider.allow(stuck)
    tasks = numbered(range(60))
    pool.add(tasks)
    await within(SECONDS, stuck.waits.wait())
    provider.allow(other)
    await asyncio.wait(results(tasks[:9] + tasks[10:]), timeout=SECONDS)
    first = other.seen[0]
    assert first > 11
    assert (stuck.seen, other.seen) == (
        list(range(10)),
        [*range(first, 60), *range(10, first)],
    )
    stuck.go_on()
    await finish(pool)


async def test_calls_are_left_for_workers_that_are_about_to_be_requested():
    stuck, other = RecordingHandle("stuck", wait_at=100), RecordingHandle("other")
    provider = GivenProvider(stuck, other)
    pool = Pool(provider, 2)
    provider.allow(stuck), provider.allow(other)
    tasks = numbered([100, 101, 102])
    for first in numbered(range(4)):  # it takes several calls at a time now
        pool.add([first])
        await asyncio.wait(results([first]), timeout=SECONDS)
    last = numbered([4])
    # They come at the moment at which the worker asks for more.
    last[0].future.add_done_callback(lambda _: pool.add(tasks))
    pool.add(last)
    await asyncio.wait(results(tasks[1:]), timeout=SECONDS)
    assert (stuck.seen[5:], sorted(other.seen)) == ([100], [101, 102])
    stuck.go_on()
    await finish(pool)


async def test_a_call_that_comes_when_an_idle_worker_is_to_end_is_done_by_it():
    only = RecordingHandle("only")
    provider = GivenProvider(only)
    pool = Pool(provider, 1, linger=0.5)
    provider.allow(only)
    first, second = numbered([1]), numbered([2])
    pool.add(first)
    await asyncio.wait(results(first), timeout=SECONDS)
    for _ in range(20):  # the worker is idle
        await asyncio.sleep(0)
    pool.add(second)
    time.sleep(1)  # the loop learns of the call and of the end of the wait together
    await asyncio.wait(results(second), timeout=SECONDS)
    assert (second[0].future.exception(0), only.seen) == (None, [1, 2])
    await finish(pool)
