from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from batchspawner.client.availability import MAX_AGE_S, Answer, cached_answer
from batchspawner.commands import Command
from batchspawner.errors import SchedulerUnavailable
from batchspawner.queues import Queue
from tests.fakes import Cluster, FakeRunner, FakeScheduler


@dataclass(frozen=True)
class WithQueues(FakeScheduler):
    def availability(self):
        def parse(result):
            if not result.ok:
                raise SchedulerUnavailable("down", result)
            return [Queue("main", free_cores=self.cluster.commands.count("queues"))]

        return Command(("queues", ""), parse)


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def shared(cluster):
    return lambda: cached_answer(WithQueues(cluster), FakeRunner(cluster))


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests move on."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


async def test_many_forms_at_a_time_ask_once(cluster, shared):
    offers = await asyncio.gather(*(shared().get() for _ in range(50)))
    assert cluster.commands == ["queues"]
    assert [offer.value for offer in offers] == 50 * [[Queue("main", free_cores=1)]]


async def test_an_answer_is_used_for_a_while_and_then_asked_for_again(cluster, shared, clock):
    shared().clock = clock
    await shared().get()
    age = MAX_AGE_S["availability"] - 1
    clock.now += age
    assert await shared().get() == Answer(
        [Queue("main", free_cores=1)], MAX_AGE_S["availability"] - 1
    )
    clock.now += 2
    assert await shared().get() == Answer([Queue("main", free_cores=2)], 0.0)


async def test_while_the_scheduler_is_down_the_last_answer_is_shown_as_old(cluster, shared, clock):
    shared().clock = clock
    await shared().get()
    cluster.down = True
    clock.now += 100
    offer = await shared().get()
    assert (offer.value, offer.age, offer.is_stale) == (
        [Queue("main", free_cores=1)],
        100.0,
        True,
    )


async def test_a_scheduler_that_is_down_is_not_asked_for_each_form(cluster, shared):
    cluster.down = True
    for _ in range(5):
        assert await shared().get() == Answer()
    assert cluster.commands == ["queues"]


async def test_a_slow_scheduler_does_not_hold_up_the_form(cluster, shared):
    cluster.delay = 0.2
    assert await shared().get(timeout=0.01) == Answer()
    offer = await shared().get(timeout=5)
    assert (offer.value, cluster.commands) == ([Queue("main", free_cores=1)], ["queues"])


async def test_a_scheduler_without_queues_is_never_asked(cluster):
    get = cached_answer(FakeScheduler(cluster), FakeRunner(cluster)).get
    assert (await get(), cluster.commands) == (Answer(), [])
