"""Which listing a scheduler is asked for: of a few jobs, of one user's, or of all."""

from __future__ import annotations

import asyncio

import pytest

from batchspawner.client.monitor import Monitor
from batchspawner.client.queries import Queries
from batchspawner.commands import Command, CommandResult
from batchspawner.concurrency import within
from batchspawner.errors import SchedulerUnavailable
from batchspawner.jobs import JobInfo, JobState
from tests.fakes import FakeScheduler

LONG, SHORT = "x" * 1_000_000, "x" * 1000


class Selective(FakeScheduler):
    """A scheduler that lists single jobs, and those of one user."""

    def query(self, job_ids):
        return [self._listing_of("all", job_ids)]

    def query_each(self, job_ids):
        return [self._listing_of("each", [one]) for one in job_ids]

    def query_owner(self, owner, job_ids):
        return self._listing_of(f"owner {owner}", job_ids)

    def _listing_of(self, what, job_ids):
        def parse(result):
            self._check(result)
            known = self.cluster.jobs
            hers = what.startswith("owner") and "ada" not in what
            return {} if hers else {one: known[one] for one in job_ids if one in known}

        return Command((what, " ".join(job_ids)), parse, jobs=tuple(job_ids))


class Counting:
    """A runner that notes what it is asked; a listing of all jobs is as long as `length`."""

    is_this_user = True

    def __init__(self, length: str = LONG) -> None:
        self.length = length
        self.asked: list[tuple[str, str]] = []
        self.down = False

    async def run(self, argv, **_):
        self.asked.append(tuple(argv))
        if self.down:
            return CommandResult(tuple(argv), 1, "", "cannot connect")
        return CommandResult(tuple(argv), 0, self.length if argv[0] == "all" else SHORT)

    def taken(self) -> list[tuple[str, str]]:
        asked, self.asked = self.asked, []
        return asked


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def scheduler():
    one = Selective()
    for number in range(100):
        one.cluster.run(str(number))
    return one


@pytest.fixture
def clock():
    return Clock()


IDS = [str(number) for number in range(10)]


async def test_one_job_is_never_looked_for_among_all(scheduler, clock):
    runner = Counting()
    answer = await Queries(scheduler, clock).listing(["7"], ["7"], "", runner)
    assert (runner.asked, answer.asked, [*answer.found]) == ([("each", "7")], ["7"], ["7"])


async def test_few_jobs_among_many_of_others_are_asked_for_one_by_one(scheduler, clock):
    queries, runner = Queries(scheduler, clock), Counting()
    answer = await queries.listing(IDS, IDS, "", runner)
    assert ([what for what, _ in runner.taken()], answer.asked) == (["all"], IDS)
    answer = await queries.listing(IDS, IDS[:3], "", runner)
    assert (runner.taken(), answer.asked) == ([("each", one) for one in IDS[:3]], IDS[:3])


async def test_one_short_listing_costs_less_than_a_query_for_each_job(scheduler, clock):
    queries, runner = Queries(scheduler, clock), Counting(SHORT)
    for _ in range(2):
        answer = await queries.listing(IDS, IDS, "", runner)
        assert ([what for what, _ in runner.taken()], answer.asked) == (["all"], IDS)


async def test_a_listing_that_may_have_grown_is_measured_again(scheduler, clock):
    queries, runner = Queries(scheduler, clock), Counting(SHORT)
    await queries.listing(IDS, IDS, "", runner)
    runner.length = LONG
    clock.now += 601
    await queries.listing(IDS, IDS, "", runner)
    runner.taken()
    await queries.listing(IDS, IDS[:2], "", runner)
    assert [what for what, _ in runner.taken()] == ["each", "each"]


async def test_queries_for_single_jobs_are_rare_enough_for_the_limit_of_a_scheduler(
    scheduler, clock
):
    queries, runner = Queries(scheduler, clock), Counting()
    await queries.listing(IDS, IDS, "", runner)
    runner.taken()
    asked = []
    for _ in range(5):
        await queries.listing(IDS, IDS, "", runner)
        asked.append(len(runner.taken()))
        clock.now += 2
    # 16 at once, and then one a second: what is left does not suffice for ten.
    assert asked == [10, 1, 10, 1, 1]


@pytest.mark.parametrize("number", [20, 100])
async def test_many_jobs_of_one_user_are_listed_as_hers(scheduler, clock, number):
    queries, runner = Queries(scheduler, clock), Counting()
    ids = [str(one) for one in range(number)]
    answer = await queries.listing(ids, ids, "ada", runner)
    assert [what for what, _ in runner.asked] == ["owner ada"]
    assert ([*answer.found], answer.asked) == (ids, ids)


async def test_a_job_that_is_missing_among_its_owners_is_looked_for_among_all(scheduler, clock):
    queries, runner = Queries(scheduler, clock), Counting()
    ids = [str(one) for one in range(20)]
    del scheduler.cluster.jobs["3"]
    answer = await queries.listing(ids, ids, "ada", runner)
    assert runner.taken()[1:] == [("all", "3")]
    assert (answer.asked, "3" in answer.found, len(answer.found)) == (ids, False, 19)
    await queries.listing(ids, ids, "ada", runner)
    assert runner.taken()[0][0] == "owner ada"


async def test_who_is_not_the_owner_is_not_asked_again(scheduler, clock):
    queries, runner = Queries(scheduler, clock), Counting()
    ids = [str(one) for one in range(20)]
    answer = await queries.listing(ids, ids, "ben", runner)
    assert [what for what, _ in runner.taken()] == ["owner ben", "all"]
    assert len(answer.found) == 20
    await queries.listing(ids, ids, "ben", runner)
    assert [what for what, _ in runner.taken()] == ["all"]


async def test_a_scheduler_that_is_down_says_nothing_about_any_job(scheduler, clock):
    runner = Counting()
    runner.down = True
    with pytest.raises(SchedulerUnavailable):
        await Queries(scheduler, clock).listing(IDS, IDS[:1], "", runner)


async def test_only_jobs_of_which_news_is_due_are_asked_about(scheduler):
    runner = Counting()
    monitor = Monitor(scheduler, runner)
    idle = [monitor.watch(one, 30.0) for one in IDS]
    await within(5, idle[0].change())
    runner.taken()
    starting = monitor.watch("50", 0.01)
    await within(5, starting.change())
    while len(runner.asked) < 3:
        await asyncio.sleep(0.01)
    assert set(runner.asked) == {("each", "50")}
    # One of which news is requested is among them at once.
    runner.taken()
    await within(5, idle[4].renewed())
    assert ("each", "4") in runner.asked
    for watch in (*idle, starting):
        watch.close()


async def test_a_job_that_a_query_about_it_does_not_find_has_ended(scheduler):
    runner = Counting()
    monitor = Monitor(scheduler, runner)
    watch = monitor.watch("5", 0.01)
    await within(5, watch.change())
    scheduler.cluster.set("5", JobState.COMPLETED, exit_code=3)
    status: JobInfo = await within(5, watch.until(lambda status: status.is_final))
    assert (status.state, status.exit_code) == (JobState.COMPLETED, 3)
    assert {what for what, _ in runner.asked} == {"each", "confirm"}
    watch.close()
