"""What is told of a start: the same in every tab, and after a restart of the Hub."""

from __future__ import annotations

import asyncio
import operator

import pytest

from batchspawner.client import availability
from batchspawner.commands import Command
from batchspawner.concurrency import within
from batchspawner.jobs import JobState
from batchspawner.schedulers.reasons import Reason
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.progress import wait_statistics
from batchspawner.spawners.progress.card import card_of
from batchspawner.spawners.progress.log import append
from tests.fakes import FakeScheduler
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import restored, stored_state
from tests.spawners.test_life import begin, until


@pytest.fixture(autouse=True)
def _no_waits():
    wait_statistics.forget_waits()
    yield
    wait_statistics.forget_waits()


class Tab:
    """A page that shows the progress."""

    def __init__(self, spawner) -> None:
        self.events = []
        self.task = asyncio.ensure_future(self._listen(spawner))

    async def _listen(self, spawner) -> None:
        async for event in spawner.progress():
            self.events.append(event)

    @property
    def messages(self) -> list[str]:
        return [event["message"] for event in self.events if "message" in event]

    async def has_card(self, **facts) -> None:
        def has() -> bool:
            card = self.events[-1].get("batchspawner", {}) if self.events else {}
            return facts.items() <= card.items()

        await until(has, 30)

    async def shows(self, *texts: str) -> None:
        def all_there():
            last = self.messages[-len(texts) :]
            return len(last) == len(texts) and all(map(operator.contains, last, texts))

        try:
            await until(all_there)
        finally:
            self.task.cancel()
        assert [event["progress"] for event in self.events] == sorted(
            event["progress"] for event in self.events
        )


ALL = (
    "Submitting",
    "Job 1 is submitted to Fake: 2 cores",
    "waits in the queue",
    "Resources",
    "runs on node1",
)


async def run_until_it_runs(spawner, cluster):
    spawner.req_nprocs = "2"
    first = Tab(spawner)
    task = await begin(spawner)
    await until(lambda: len(first.events) > 2)
    cluster.set("1", JobState.PENDING, reason="Resources")
    await until(lambda: "Resources" in first.events[-1]["message"])
    cluster.run("1")
    return first, task


async def test_a_tab_that_is_opened_late_shows_what_the_first_one_shows(spawner, cluster):
    first, task = await run_until_it_runs(spawner, cluster)
    await first.shows(ALL[-1])
    second = Tab(spawner)
    await second.shows(*ALL)
    assert second.messages == first.messages
    task.cancel()


async def test_a_page_says_since_when_the_scheduler_is_silent(spawner, cluster, monkeypatch):
    monkeypatch.setattr("batchspawner.spawners.progress.messages._UNANSWERED_S", 0.1)
    monkeypatch.setattr(
        "batchspawner.spawners.backends.scheduler_backend._FIRST_ANSWER_TIMEOUT_S", 0.1
    )
    silent = "Fake has not answered for about a minute; this is what was known before"
    task = await begin(spawner)
    await until(lambda: spawner.backend.status)
    cluster.down = True
    await Tab(spawner).shows(silent)
    assert spawner.backend.describe().text == f"Job 1 waits in the queue. {silent}"
    task.cancel()
    spawner.backend.close()
    later = restored(FakeSpawner, spawner.orm_spawner)
    assert await later.poll() is None
    await Tab(later).shows(silent)
    assert later.backend.describe().text == f"Job 1 waits in the queue. {silent}"
    cluster.down = False
    await until(lambda: later.backend.status, 10)
    assert later.backend.describe().text == "Job 1 waits in the queue"
    later.clear_state()


async def test_a_hub_that_restarts_tells_the_same_story(spawner, cluster):
    first, task = await run_until_it_runs(spawner, cluster)
    await first.shows(ALL[-1])
    task.cancel()
    later = restored(FakeSpawner, spawner.orm_spawner)
    assert later.job.progress == spawner.job.progress
    second = Tab(later)
    await second.shows(*ALL)
    assert second.messages == first.messages
    later.clear_state()


async def test_a_job_that_is_put_back_does_not_put_the_percentage_back(spawner, cluster):
    first, task = await run_until_it_runs(spawner, cluster)
    await until(lambda: "runs on" in first.events[-1]["message"])
    cluster.set("1", JobState.PENDING, reason="BeginTime")
    await first.shows("runs on", "BeginTime")
    assert first.events[-1]["progress"] == 60
    task.cancel()


async def test_the_next_start_begins_with_an_empty_progress_log(spawner, cluster):
    task = await begin(spawner)
    assert spawner.job.progress
    task.cancel()
    spawner.clear_state()
    job = spawner.job
    assert (job.progress, job.waited, job.submitted_at) == ([], 0.0, 0.0)


async def test_no_sentence_is_told_twice(spawner, cluster, monkeypatch):
    answers = iter([{"1": 3}, {"1": 3}, {"1": 2}, {"1": 3}, {"1": 2}])
    ahead = {}

    def command(_):
        return Command(("query", ""), lambda _: ahead)

    monkeypatch.setattr(FakeScheduler, "ahead", command, raising=False)
    monkeypatch.setitem(availability.MAX_AGE_WAITING_S, "ahead", 0.05)
    tab = Tab(spawner)
    task = await begin(spawner)
    for reason in ("Priority", "Resources", "Priority", "Resources", "Priority"):
        cluster.set("1", JobState.PENDING, reason=reason)
        ahead = next(answers)
        await tab.has_card(ahead=ahead["1"], reason=reason)
    told = ". ".join(tab.messages)
    for sentence in ("waits in the queue: Priority", "2 jobs wait before it", "3 jobs wait before"):
        assert told.count(sentence) == 1
    task.cancel()
    tab.task.cancel()


async def test_the_end_of_a_job_is_told_by_the_failure_and_not_before(spawner, cluster):
    tab = Tab(spawner)
    task = await begin(spawner)
    cluster.run("1")
    await tab.shows("runs on node1")
    late = Tab(spawner)
    cluster.set("1", JobState.FAILED, exit_code=1, start=1.0)
    with pytest.raises(SpawnFailure):
        await within(60, _result(task))
    assert "failed" not in spawner.backend.describe().text
    await late.shows("runs on node1")
    assert [stage.text for stage in spawner.job.progress if "failed" in stage.text] == []


async def _result(task):
    return await task


async def test_nothing_new_makes_no_event(spawner, cluster):
    tab = Tab(spawner)
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    await tab.shows("Resources")
    late = Tab(spawner)
    await late.shows("Resources")
    told = len(late.events)
    again = Tab(spawner)
    await asyncio.sleep(2)
    again.task.cancel()
    assert len(again.events) == told
    task.cancel()


async def test_a_scheduler_that_gives_ever_other_reasons_does_not_fill_the_database(spawner):
    for number in range(90):
        append(spawner, 20, f"reason {number}")
        append(spawner, 20, "reason 0")
    kept = [stage.text for stage in spawner.job.progress]
    assert kept == ["reason 0", *(f"reason {number}" for number in range(41, 90))]
    assert card_of(spawner)["history"][-1]["text"] == "reason 89"


async def test_the_median_wait_is_that_of_the_recent_starts_here(spawner, cluster):
    for number in range(3):
        wait_statistics.note_wait("fake", "", f"old{number}", 200.0)
    tab = Tab(spawner)
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    await tab.shows("Usually the wait is about 3 minutes here")
    task.cancel()


async def test_two_starts_do_not_yet_make_a_habit():
    wait_statistics.note_wait("fake", "", "1", 200.0)
    wait_statistics.note_wait("fake", "", "1", 300.0)
    wait_statistics.note_wait("fake", "", "2", 200.0)
    assert wait_statistics.median_wait("fake", "") is None


async def test_a_wait_is_stored_and_known_again_after_a_restart(spawner, cluster):
    task = await begin(spawner)
    cluster.run("1")
    await until(lambda: spawner.job.waited)
    spawner.receive_report(4321)
    await asyncio.wait_for(task, 5)
    assert stored_state(spawner)["waited"] == spawner.job.waited
    wait_statistics.forget_waits()
    wait_statistics.note_wait("fake", "", "x", 50.0)
    wait_statistics.note_wait("fake", "", "y", 60.0)
    later = restored(FakeSpawner, spawner.orm_spawner)
    assert await later.poll() is None
    assert wait_statistics.median_wait("fake", "") == 50.0
    later.clear_state()


async def test_a_limit_of_cores_is_shown_with_its_figures(spawner, cluster, monkeypatch):
    reasons = [Reason("TooMany", "you use too many cores", "Stop one.", of_cores=True)]
    monkeypatch.setattr(FakeScheduler, "reasons", reasons)
    answers = {"core_usage": {"1": ("normal", 64)}, "core_limits": {"normal": 64}, "ahead": {}}
    for method, answer in answers.items():
        call = Command(("query", ""), lambda _, answer=answer: answer)
        monkeypatch.setattr(FakeScheduler, method, lambda _, call=call: call, raising=False)
    tab = Tab(spawner)
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="TooMany")
    await tab.shows("you use too many cores. You use 64 of 64 cores now. Stop one.")
    task.cancel()
