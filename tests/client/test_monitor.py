from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from batchspawner.client import end_detection
from batchspawner.client.batch_client import BatchClient
from batchspawner.client.monitor import Monitor, shared_monitor
from batchspawner.commands import Command, CommandResult
from batchspawner.concurrency import within
from batchspawner.errors import CommandNotFound, ParseError, SchedulerUnavailable
from batchspawner.jobs import JobInfo, JobRequest, JobState
from tests.fakes import HIDDEN, Cluster, FakeRunner, FakeScheduler, fake


@pytest.fixture
def setting():
    cluster, scheduler, runner = fake()
    return cluster, lambda: Monitor(scheduler, runner)


class NoAccounting(FakeRunner):
    """Run where the second source fails: `error` is raised, or it prints what is `said`."""

    def __init__(self, cluster, error=None, said=""):
        super().__init__(cluster)
        self.error, self.said = error, said

    async def run(self, argv, **more):
        if argv[0] == "query":
            return await super().run(argv, **more)
        if self.error:
            raise self.error
        return CommandResult(tuple(argv), 1, "", self.said)


class ListingsOnly(FakeRunner):
    """Run as somebody for whom sudo runs nothing else."""

    async def run(self, argv, **more):
        if argv[0] != "query":
            return CommandResult(tuple(argv), 1, "", "sudo: a password is required")
        return await super().run(argv, **more)


async def seen(watch, state, seconds=5.0):
    return await within(seconds, watch.until(lambda status: status.state is state))


async def test_nothing_is_asked_while_nothing_is_watched(setting):
    cluster, make = setting
    monitor = make()
    cluster.run("1")
    watch = monitor.watch("1", 0.01)
    await watch.change()
    watch.close()
    await asyncio.sleep(0.05)
    asked = len(cluster.commands)
    await asyncio.sleep(0.1)
    assert len(cluster.commands) == asked


async def test_a_thousand_jobs_are_one_query(setting):
    cluster, make = setting
    monitor = make()
    watches = []
    for number in range(1000):
        cluster.run(str(number))
        watches.append(monitor.watch(str(number), 60))
    await asyncio.gather(*(watch.change() for watch in watches))
    assert cluster.commands == ["query"]


async def test_the_shortest_requested_interval_counts(setting):
    cluster, make = setting
    monitor = make()
    cluster.run("1")
    cluster.run("2")
    idle, hasty = monitor.watch("1", 60), monitor.watch("2", 0.02)
    await idle.change()
    cluster.run("1", host="node2")
    status = await within(2, idle.until(lambda s: s.host == "node2"))
    assert status.host == "node2"
    hasty.close()


async def test_a_caller_in_a_hurry_has_the_scheduler_queried_at_once(setting, monkeypatch):
    cluster, make = setting
    monkeypatch.setattr(FakeScheduler, "minimum_interval", 30.0)
    cluster.run("1")
    watch = make().watch("1", 60)
    status = await watch.change()
    cluster.run("1", host="node2")
    watch.hurry()
    assert (await within(2, watch.change(status))).host == "node2"


async def under_way(cluster):
    """Wait until a query is on its way."""
    while not cluster.now:
        await asyncio.sleep(0)


async def test_a_job_that_comes_while_a_query_runs_is_in_the_next_one(setting):
    cluster, make = setting
    monitor = make()
    cluster.delay = 0.2
    cluster.run("1")
    monitor.watch("1", 60)
    await within(2, under_way(cluster))
    cluster.run("2")
    late = monitor.watch("2", 60)
    assert (await within(5, late.change())).host == "node1"
    assert cluster.commands == ["query", "query"]


async def test_a_job_that_comes_again_while_a_query_runs_is_not_judged_by_its_answer(setting):
    cluster, make = setting
    monitor = make()
    cluster.delay = 0.2
    first = monitor.watch("7", 60)
    await within(2, under_way(cluster))
    first.close()
    assert (await within(5, monitor.watch("7", 0.01).change())).gone
    assert cluster.commands == ["query", "query", "confirm", "query", "confirm"]


async def test_queries_never_overlap(setting):
    cluster, make = setting
    cluster.delay = 0.05
    cluster.run("1")
    monitor = make()
    watch = monitor.watch("1", 0.0)
    await watch.change()
    for _ in range(20):
        monitor.wake()
        await asyncio.sleep(0.01)
    assert len(cluster.commands) >= 3
    assert cluster.peak == 1


async def test_no_requested_interval_goes_below_the_minimum_of_the_scheduler(setting, monkeypatch):
    cluster, make = setting
    monkeypatch.setattr(FakeScheduler, "minimum_interval", 0.2)
    monitor = make()
    cluster.run("1")
    await monitor.watch("1", 0.0).change()
    await asyncio.sleep(0.5)
    assert 2 <= len(cluster.commands) <= 3


async def test_a_site_may_want_it_asked_less_often(setting):
    cluster, make = setting
    monitor = make()
    monitor.set_minimum_interval(30.0)
    cluster.run("1")
    watch = monitor.watch("1", 0.0)
    await watch.change()
    for _ in range(20):
        monitor.hurry("1")
        await asyncio.sleep(0.01)
    # The burst of a scheduler that was not queried for long.
    assert len(cluster.commands) == 5
    monitor.set_minimum_interval(0.0)
    await watch.renewed()


async def test_a_failed_query_says_nothing_about_the_job(setting):
    cluster, make = setting
    cluster.run("1")
    watch = make().watch("1", 0.01)
    running = await seen(watch, JobState.RUNNING)
    cluster.down = True
    cluster.jobs.clear()
    await asyncio.sleep(0.3)
    assert watch.status == running
    assert "cannot connect" in str(watch.trouble)


async def test_the_pauses_grow_while_the_scheduler_is_down_and_it_is_never_given_up(setting):
    cluster, make = setting
    cluster.down = True
    cluster.run("1")
    watch = make().watch("1", 0.02)
    await asyncio.sleep(0.5)
    assert 2 <= len(cluster.commands) <= 6
    cluster.down = False
    assert (await seen(watch, JobState.RUNNING)).host == "node1"
    assert watch.trouble is None


async def test_an_end_is_reported_with_its_cause(setting):
    cluster, make = setting
    cluster.run("1")
    watch = make().watch("1", 0.01)
    await seen(watch, JobState.RUNNING)
    cluster.set("1", JobState.TIMEOUT, exit_code=0, signal=9)
    ended = await seen(watch, JobState.TIMEOUT)
    assert ended == JobInfo("1", JobState.TIMEOUT, "TIMEOUT", exit_code=0, signal=9)


async def test_a_job_without_a_trace_is_gone_only_at_the_second_listing(setting):
    cluster, make = setting
    watch = make().watch("7", 0.01)
    status = await within(5, watch.change())
    assert status.gone
    assert cluster.commands == ["query", "confirm", "query", "confirm"]


async def test_a_job_that_is_missing_in_every_other_listing_is_not_gone(setting):
    cluster, make = setting
    cluster.run("1")
    watch = make().watch("1", 60)
    running = await watch.change()
    for _ in range(3):
        cluster.jobs.clear()
        await watch.renewed()
        cluster.run("1")
        await watch.renewed()
    assert watch.status == running


async def test_a_job_missing_in_the_list_that_another_source_knows_lives(setting):
    cluster, make = setting
    watch = make().watch("1", 0.01)
    cluster.ended["1"] = JobInfo("1", JobState.RUNNING, "RUNNING", host="node1")
    assert (await seen(watch, JobState.RUNNING)).host == "node1"
    assert not watch.status.is_final


async def test_a_job_that_we_may_not_see_is_asked_for_as_its_owner():
    cluster, scheduler, owner = fake()
    monitor = Monitor(scheduler, FakeRunner(cluster, sees=False))
    cluster.run("1")
    watch = monitor.watch("1", 0.01, owner=owner)
    assert (await seen(watch, JobState.RUNNING)).host == "node1"
    cluster.jobs.clear()
    assert (await within(5, watch.until(lambda s: s.is_final))).gone


async def test_hidden_jobs_cost_one_query_an_owner_however_many_they_are():
    cluster, scheduler, owner = fake()
    monitor = Monitor(scheduler, FakeRunner(cluster, sees=False))
    watches = []
    for number in range(50):
        cluster.run(str(number))
        watches.append(monitor.watch(str(number), 0.01, owner=owner))
    await asyncio.gather(*(watch.change() for watch in watches))
    cluster.commands.clear()
    for _ in range(3):
        await watches[0].renewed()
    rounds = len(cluster.commands) // 2
    assert cluster.commands[: 2 * rounds] == ["query", "query"] * rounds


async def test_the_owner_of_a_hidden_job_is_asked_how_it_ended():
    cluster, scheduler, owner = fake()
    monitor = Monitor(scheduler, FakeRunner(cluster, sees=False))
    cluster.run("1")
    watch = monitor.watch("1", 0.01, owner=owner)
    await seen(watch, JobState.RUNNING)
    cluster.set("1", JobState.OUT_OF_MEMORY, exit_code=137)
    assert (await seen(watch, JobState.OUT_OF_MEMORY)).exit_code == 137


async def test_an_end_in_the_owners_listing_is_explained_to_the_owner(monkeypatch):
    cluster, scheduler, owner = fake()
    monitor = Monitor(scheduler, FakeRunner(cluster, sees=False))
    cluster.set("1", JobState.FAILED, exit_code=3)
    bare = {"1": JobInfo("1", JobState.FAILED, "FAILED")}
    monkeypatch.setattr(
        FakeScheduler, "_listing", lambda _, result: {} if result.stdout == HIDDEN else bare
    )
    watch = monitor.watch("1", 0.01, owner=owner)
    assert (await seen(watch, JobState.FAILED)).exit_code == 3


async def test_a_hidden_job_can_be_gone_where_its_owner_may_only_be_asked_for_listings():
    cluster, scheduler, _ = fake()
    monitor = Monitor(scheduler, FakeRunner(cluster, sees=False))
    cluster.run("1")
    watch = monitor.watch("1", 0.01, owner=ListingsOnly(cluster))
    await seen(watch, JobState.RUNNING)
    cluster.jobs.clear()
    assert (await within(5, watch.until(lambda s: s.is_final))).gone


async def test_a_job_that_nobody_may_see_is_not_gone_while_its_owner_cannot_be_asked():
    cluster, scheduler, _ = fake()
    down, *_ = fake()
    monitor = Monitor(scheduler, FakeRunner(cluster, sees=False))
    down.down = True
    watch = monitor.watch("1", 0.01, owner=FakeRunner(down))
    await asyncio.sleep(0.2)
    assert watch.status is None


@pytest.mark.parametrize(
    "error", [CommandNotFound("no accounting here"), ParseError("a corrupt record"), KeyError("x")]
)
async def test_a_job_is_gone_at_the_second_listing_if_the_accounting_cannot_tell(error):
    cluster, scheduler, _ = fake()
    watch = Monitor(scheduler, NoAccounting(cluster, error)).watch("7", 0.01)
    assert (await within(5, watch.change())).gone
    assert cluster.commands == ["query", "query"]


async def test_an_accounting_that_is_away_does_not_end_a_job_at_once_nor_keep_it_long(monkeypatch):
    cluster, scheduler, _ = fake()
    away = NoAccounting(cluster, SchedulerUnavailable("no answer"))
    watch = Monitor(scheduler, away).watch("7", 0.01)
    await asyncio.sleep(0.2)
    assert watch.status is None
    assert len(cluster.commands) > 2
    monkeypatch.setattr(end_detection, "SOURCE_TIMEOUT_S", 0.1)
    assert (await within(5, watch.change())).gone


async def test_an_accounting_that_comes_back_tells_how_the_job_ended():
    cluster, scheduler, _ = fake()
    away = NoAccounting(cluster, SchedulerUnavailable("no answer"))
    watch = Monitor(scheduler, away).watch("7", 0.01)
    await asyncio.sleep(0.1)
    cluster.set("7", JobState.FAILED, exit_code=3)
    away.run = FakeRunner(cluster).run
    assert (await seen(watch, JobState.FAILED)).exit_code == 3


async def test_an_ended_job_is_not_asked_for_again(setting):
    cluster, make = setting
    cluster.set("1", JobState.COMPLETED)
    watch = make().watch("1", 0.01)
    await seen(watch, JobState.COMPLETED)
    asked = len(cluster.commands)
    await asyncio.sleep(0.1)
    assert len(cluster.commands) == asked


async def test_a_broken_answer_does_not_end_the_watch(setting, monkeypatch):
    cluster, make = setting
    monitor = make()
    cluster.run("1")
    whole = type(monitor.scheduler)._listing
    answers = iter([lambda *_: {}["no such key"]])
    monkeypatch.setattr(
        type(monitor.scheduler), "_listing", lambda *args: next(answers, whole)(*args)
    )
    assert (await seen(monitor.watch("1", 0.01), JobState.RUNNING)).host == "node1"


async def test_a_monitor_whose_task_dies_starts_again(setting, monkeypatch):
    cluster, make = setting
    monitor = make()
    cluster.run("1")
    watch = monitor.watch("1", 0.01)
    await seen(watch, JobState.RUNNING)
    due = Monitor._due
    broken = iter([lambda *_: 1 / 0])
    monkeypatch.setattr(Monitor, "_due", lambda self: next(broken, due)(self))
    await asyncio.sleep(0.1)
    cluster.set("1", JobState.COMPLETED)
    await seen(watch, JobState.COMPLETED)


async def test_a_monitor_that_dies_each_time_leaves_time_for_others(setting, monkeypatch, caplog):
    _, make = setting
    monkeypatch.setattr(FakeScheduler, "minimum_interval", 30.0)
    deaths = []

    def dies(_):
        deaths.append(1)
        raise RuntimeError("it cannot go on")

    monkeypatch.setattr(Monitor, "_due", dies)
    watch = make().watch("1", 0.01)
    await asyncio.sleep(0.1)
    assert deaths == [1]
    assert "RuntimeError: it cannot go on" in caplog.text
    watch.close()


async def test_an_unknown_state_keeps_the_job_alive(setting):
    cluster, make = setting
    cluster.set("1", JobState.UNKNOWN)
    watch = make().watch("1", 0.01)
    assert not (await seen(watch, JobState.UNKNOWN)).is_final


async def test_a_second_watch_of_a_job_knows_at_once_what_the_first_knows(setting):
    cluster, make = setting
    monitor = make()
    cluster.run("1")
    first = monitor.watch("1")
    known = await first.change()
    assert monitor.watch("1").status == known


async def test_equal_schedulers_and_runners_share_a_monitor():
    cluster, scheduler, runner = fake()
    assert shared_monitor(scheduler, runner) is shared_monitor(
        type(scheduler)(cluster), type(runner)(cluster)
    )


async def test_only_a_job_id_is_watched(setting):
    _, make = setting
    with pytest.raises(ValueError, match="is not a job id"):
        make().watch("1; true")


class Forgetful(FakeScheduler):
    """A scheduler whose accounting knows of an end only a while after it."""

    accounting_delay_s = 1.0


async def test_a_job_that_the_accounting_may_not_know_yet_is_not_gone_at_once(monkeypatch):
    cluster, _, runner = fake()
    monkeypatch.setattr(Forgetful, "accounting_delay_s", 3600.0)
    monitor = Monitor(Forgetful(cluster), runner)
    watch = monitor.watch("7", 0.01)
    for _ in range(4):
        await watch_round(monitor)
    assert watch.status is None
    cluster.set("7", JobState.FAILED, exit_code=3)
    assert (await seen(watch, JobState.FAILED)).exit_code == 3


async def test_a_job_that_we_have_cancelled_is_not_waited_for_in_the_accounting(monkeypatch):
    cluster, _, runner = fake()
    monkeypatch.setattr(Forgetful, "accounting_delay_s", 3600.0)
    client = BatchClient(Forgetful(cluster), runner)
    cluster.run("7")
    watch = client.watch("7", 0.01)
    await seen(watch, JobState.RUNNING)
    await client.cancel("7")
    cluster.ended.clear()
    status = await within(5, watch.until(lambda status: status.is_final))
    assert status.gone


async def watch_round(monitor):
    await within(5, monitor.round_after(monitor.clock(), "1"))


async def test_the_record_of_an_earlier_job_with_the_same_number_is_not_taken_for_ours():
    cluster, scheduler, runner = fake()
    client = BatchClient(scheduler, runner)
    job_id = await client.submit(JobRequest("#!/bin/sh\n", "tag-1"))
    cluster.jobs.clear()
    long_ago = time.time() - 2 * 86400
    cluster.set(job_id, JobState.COMPLETED, exit_code=0, end=long_ago)
    assert (await within(5, client.wait(job_id, 0.01))).gone


async def test_the_record_of_an_earlier_job_is_not_taken_for_one_that_has_been_seen():
    cluster, scheduler, runner = fake()
    cluster.run("7")
    watch = Monitor(scheduler, runner).watch("7", 0.01)
    await seen(watch, JobState.RUNNING)
    cluster.set("7", JobState.COMPLETED, exit_code=0, end=time.time() - 2 * 86400)
    assert (await within(5, watch.until(lambda status: status.is_final))).gone


async def test_a_record_is_ours_although_it_is_in_the_time_of_another_zone():
    cluster, scheduler, runner = fake()
    cluster.run("7")
    watch = Monitor(scheduler, runner).watch("7", 0.01)
    await seen(watch, JobState.RUNNING)
    cluster.set("7", JobState.FAILED, exit_code=3, end=time.time() - 12 * 3600)
    assert (await seen(watch, JobState.FAILED)).exit_code == 3


@dataclass(frozen=True)
class TwoClusters(FakeScheduler):
    """A scheduler that is asked cluster by cluster; jobs from 100 on are in the other one."""

    other: Cluster = field(default_factory=Cluster)

    def query(self, job_ids):
        near = tuple(one for one in job_ids if int(one) < 100)
        far = tuple(one for one in job_ids if int(one) >= 100)
        return [
            Command(("query", name), self._listing, jobs=ids)
            for name, ids in (("near", near), ("far", far))
            if ids
        ]


class ToTwoClusters(FakeRunner):
    """Run what is asked of the other cluster there."""

    async def run(self, argv, **more):
        if argv[1] == "far":
            return CommandResult(tuple(argv), 1, "", "cannot connect")
        return await super().run(argv, **more)


async def test_a_cluster_that_cannot_be_reached_keeps_no_answer_about_another(caplog):
    cluster = Cluster()
    cluster.run("1")
    monitor = Monitor(TwoClusters(cluster), ToTwoClusters(cluster))
    near, far = monitor.watch("1", 0.01), monitor.watch("100", 0.01)
    await seen(near, JobState.RUNNING)
    cluster.set("1", JobState.FAILED, exit_code=3)
    assert (await seen(near, JobState.FAILED)).exit_code == 3
    near.close()
    assert far.status is None
    assert "does not answer about some of its jobs" in caplog.text
    assert near.trouble is not None


async def test_jobs_of_a_cluster_that_cannot_be_reached_are_not_gone():
    cluster = Cluster()
    cluster.run("1")
    monitor = Monitor(TwoClusters(cluster), ToTwoClusters(cluster))
    monitor.watch("1", 0.01)
    far = monitor.watch("100", 0.01)
    for _ in range(4):
        await watch_round(monitor)
    assert far.status is None
