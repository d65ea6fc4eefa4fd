"""The collector, with a thousand jobs of a scheduler that a test moves on."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from batchspawner.allocation.job_records import JobRecord, records
from batchspawner.jobs import JobInfo, JobState
from batchspawner.labextension import collector as collectors
from batchspawner.labextension.collector import Collector
from batchspawner.labextension.watches import Watches
from batchspawner.schedulers.local import LocalQueue

JOBS = 1000


class FakeWatch:
    trouble = None

    def __init__(self, job_id: str) -> None:
        self.status = JobInfo(job_id, JobState.RUNNING, host="n1", start=1.0)
        self.interval, self.is_open = 5.0, True

    def close(self) -> None:
        self.is_open = False

    def hurry(self) -> None:
        pass


class FakeClient:
    """A client whose watches a test sets."""

    scheduler = LocalQueue()
    query_runner = None

    def __init__(self) -> None:
        self.watches: dict[str, FakeWatch] = {}

    def watch(self, job_id: str, _interval: float) -> FakeWatch:
        self.watches[job_id] = FakeWatch(job_id)
        return self.watches[job_id]


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "local")
    for name in ("JOB_START_TIME", "JOB_RUN_TIME", "BATCHSPAWNER_QUEUE_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    one, others = FakeClient(), {}

    async def listed(_client):
        return others

    monkeypatch.setattr(Watches, "client", lambda *_: one)
    monkeypatch.setattr(collectors, "listed", listed)
    for number in range(JOBS):
        folder = tmp_path / "calls" / "functions" / str(number)
        folder.mkdir(parents=True)
        JobRecord(folder, "local", str(number), "functions", "sum", 5.0 + number).write()
    return one


@pytest.fixture
async def panel(client):
    """What an open panel is told."""
    told: list[dict] = []
    collector = Collector({})
    await collector.follow(told.append)
    await collector.set_open(told.append, True)
    # The test makes the rounds.
    collector._panels[told.append] = True
    await collector._round()
    yield collector, told
    await collector.forget(told.append)


async def test_rounds_in_which_nothing_changes_make_no_row_and_send_nothing(
    panel, client, monkeypatch
):
    collector, told = panel
    assert len(collector.board.rows) == JOBS
    made = []
    monkeypatch.setattr(collectors, "record_row", lambda *given: made.append(given))
    told.clear()
    for _ in range(5):
        await collector._round()
    assert (made, told) == ([], [])


async def test_only_what_has_changed_is_sent(panel, client):
    collector, told = panel
    told.clear()
    watch = client.watches["7"]
    watch.status = replace(watch.status, host="n2")
    await collector._round()
    (message,) = told
    assert [(row["id"], row["node"]) for row in message["changed"]] == [("local:7", "n2")]


async def test_a_job_that_ends_is_asked_about_no_more_and_its_end_is_kept(panel, client):
    collector, _told = panel
    watch = client.watches["7"]
    watch.status = replace(watch.status, state=JobState.TIMEOUT, end=9.0)
    await collector._round()
    await collector._round()
    row = collector.board.rows["local:7"]
    assert (row.state, row.ended, row.until, row.node) == ("TIMEOUT", True, 9.0, "n1")
    assert not watch.is_open
    assert [one.ended for one in records() if one.job_id == "7"] == ["timeout"]


async def test_a_job_whose_files_are_removed_is_followed_to_its_end(panel, client, tmp_path):
    collector, _ = panel
    folder = tmp_path / "calls" / "functions" / "7"
    (folder / "job.json").unlink()
    folder.rmdir()
    await collector._round()
    assert not collector.board.rows["local:7"].ended
    watch = client.watches["7"]
    watch.status = replace(watch.status, state=JobState.COMPLETED)
    await collector._round()
    assert collector.board.rows["local:7"].state == "COMPLETED"
    await collector._round()
    assert not watch.is_open
    assert collector.board.rows["local:7"].ended


async def test_without_an_open_panel_nothing_is_asked(panel, client):
    collector, told = panel
    await collector.set_open(told.append, False)
    await collector._round()
    assert not any(one.is_open for one in client.watches.values())


async def test_the_scheduler_is_asked_less_often_when_nothing_changes(panel, client, monkeypatch):
    collector, _ = panel
    waiting = client.watches["7"]
    waiting.status = replace(waiting.status, state=JobState.PENDING)
    await collector._round()
    assert (waiting.interval, client.watches["8"].interval) == (5.0, 30.0)
    later = time.monotonic() + 120
    monkeypatch.setattr(time, "monotonic", lambda: later)
    await collector._round()
    assert waiting.interval == 30.0
