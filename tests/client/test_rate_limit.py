from __future__ import annotations

import pytest

from batchspawner.client.rate_limit import RateLimiter


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def asked_until(limiter, clock, end, interval, *, hurry=False) -> list[float]:
    """Return the moments at which somebody whom it limits asks."""
    moments = []
    while clock.now < end:
        due = limiter.due(interval, hurry=hurry)
        if due > 0:
            clock.now += due
            continue
        limiter.note_query()
        moments.append(clock.now)
        clock.now += 0.001
    return moments


def test_the_first_query_is_due_at_once(clock):
    assert RateLimiter(2.0, clock).due(30) == 0


def test_the_interval_varies_by_a_little_jitter(clock):
    moments = asked_until(RateLimiter(2.0, clock), clock, 1600, 30)
    pauses = {later - sooner for sooner, later in zip(moments, moments[1:])}
    assert all(30 <= pause <= 33 for pause in pauses)
    assert len(pauses) > 10


def test_no_requested_interval_goes_below_the_minimum(clock):
    assert 45 <= len(asked_until(RateLimiter(2.0, clock), clock, 1100, 0.1)) <= 50


def test_who_hurries_asks_at_once_but_no_oftener_on_average(clock):
    limiter = RateLimiter(2.0, clock)
    limiter.note_query()
    moments = asked_until(limiter, clock, 1100, 30, hurry=True)
    assert moments[3] < 1000.1
    assert 50 <= len(moments) <= 55


def test_a_scheduler_that_bears_more_at_once_is_asked_more_at_once(clock):
    limiter = RateLimiter(2.0, clock, burst=30.0)
    assert len(asked_until(limiter, clock, 1001, 30, hurry=True)) == 30


def test_a_burst_that_was_used_up_is_refilled(clock):
    limiter = RateLimiter(2.0, clock)
    for _ in range(6):
        limiter.note_query()
    assert limiter.due(30, hurry=True) > 0
    clock.now += 4
    assert limiter.due(30, hurry=True) <= 0


def test_a_slow_scheduler_rests_four_times_as_long_as_its_answer_took(clock):
    limiter = RateLimiter(2.0, clock)
    limiter.note_query()
    clock.now += 3
    limiter.note_answer()
    assert 12 <= limiter.due(5) <= 14
    clock.now += 12
    limiter.note_query()
    clock.now += 1
    limiter.note_answer()
    assert 4 <= limiter.due(5) <= 4.5


def test_a_job_that_has_reported_waits_no_longer_than_a_slow_answer_took(clock):
    limiter = RateLimiter(2.0, clock)
    limiter.note_query()
    clock.now += 3
    limiter.note_answer()
    assert limiter.due(5, hurry=True) == pytest.approx(3)
    clock.now += 3
    limiter.note_query()
    clock.now += 40
    limiter.note_answer()
    assert limiter.due(5) >= 30
    assert limiter.due(5, hurry=True) == pytest.approx(30)


def test_pauses_grow_while_there_is_no_answer_and_stay_bounded(clock):
    limiter = RateLimiter(2.0, clock)
    pauses = []
    for failures in range(1, 12):
        limiter.note_query()
        limiter.failures = failures
        pauses.append(limiter.due(5))
    assert pauses == sorted(pauses)
    assert 10 <= pauses[0] <= 11
    assert 120 <= pauses[-1] <= 132


def test_nobody_hurries_a_scheduler_that_does_not_answer(clock):
    limiter = RateLimiter(2.0, clock)
    limiter.note_query()
    limiter.failures = 3
    assert limiter.due(5, hurry=True) == limiter.due(5)
