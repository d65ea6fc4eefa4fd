"""The history of starts: what is recorded, for how long, and its figures."""

from __future__ import annotations

import stat
import time
from collections import Counter

import pytest

from batchspawner.errors import SchedulerUnavailable
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.hub import history
from batchspawner.spawners.hub.history import FILE_NAME, STARTED, History, Start, history_of
from batchspawner.spawners.progress.start_statistics import DAYS, summary
from batchspawner.spawners.progress.wait_statistics import quantile
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import OWNER, make_spawner, object_session
from tests.spawners.test_life import serve

NOW = 1_800_000_000
DAY = 86400


def start(outcome: str = STARTED, **more) -> Start:
    return Start(more.pop("at", round(time.time())), outcome, "slurm", **more)


async def test_a_start_is_in_the_file_beside_the_database_without_names(cluster, tmp_path):
    spawner = make_spawner(FakeSpawner, database=str(tmp_path / "hub.sqlite"))
    await serve(spawner, cluster)
    spawner.clear_state()
    (found,) = history_of(object_session(spawner.orm_spawner)).starts
    assert (found.outcome, found.scheduler) == (STARTED, "fake")
    file = tmp_path / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert OWNER not in file.read_text()
    assert History(file).starts == [found]


async def test_a_failed_start_is_recorded_with_its_cause(spawner, monkeypatch):
    async def submit(*_):
        raise SchedulerUnavailable("no answer")

    monkeypatch.setattr("batchspawner.client.BatchClient.submit", submit)
    with pytest.raises(SpawnFailure):
        await spawner.start()
    (found,) = history_of(object_session(spawner.orm_spawner)).starts
    assert (found.outcome, found.waited_s) == ("scheduler_unavailable", None)


def test_the_file_and_the_memory_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "_MAX_ENTRIES", 10)
    one = History(tmp_path / FILE_NAME)
    most = 0
    for number in range(95):
        one.add(start(queue=str(number)))
        most = max(most, len(one.path.read_text().splitlines()))
    assert most <= 20
    last = [str(number) for number in range(85, 95)]
    assert [found.queue for found in one.starts] == last
    assert [found.queue for found in History(one.path).starts] == last
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


def test_what_is_old_or_damaged_is_not_shown(tmp_path):
    file = tmp_path / FILE_NAME
    damaged = [
        "{",
        "[]",
        "null",
        '["x", "y", "z", "", 1]',
        '[1, 2, "z", "", null]',
        "\0",
        "[" * 9999,
    ]
    file.write_text("\n".join([*damaged, '[5, "started", "slurm", "", null]', ""]))
    one = History(file)
    one.add(start())
    assert len(one.starts) == 1
    assert len(History(file).starts) == 1


def test_a_file_that_cannot_be_written_fails_no_start(tmp_path, caplog):
    one = History(tmp_path / "missing" / FILE_NAME)
    one.add(start())
    one.add(start())
    assert len(one.starts) == 2
    assert caplog.text.count("cannot be written") == 1


def test_the_file_is_not_written_through_a_link(tmp_path):
    target = tmp_path / "target"
    target.write_text("")
    (tmp_path / FILE_NAME).symlink_to(target)
    History(tmp_path / FILE_NAME).add(start())
    assert target.read_text() == ""


def test_figures_by_day_by_cause_and_by_queue():
    starts = [start(at=NOW, queue="long", waited_s=float(seconds)) for seconds in (10, 20, 30, 40)]
    starts += [start("walltime", at=NOW), start("job_refused", at=NOW - DAY)]
    starts += [start("walltime", at=NOW - DAY), start("walltime", at=NOW - DAYS * DAY)]
    starts += [start(at=NOW - DAY, queue="short", waited_s=5.0)]
    found = summary(starts, NOW)
    assert len(found["days"]) == DAYS
    yesterday, today = found["days"][-2:]
    assert today == {"day": "2027-01-15", "started": 4, "failed": {"walltime": 1}}
    assert yesterday == {
        "day": "2027-01-14",
        "started": 1,
        "failed": {"job_refused": 1, "walltime": 1},
    }
    assert found["causes"] == {"walltime": 2, "job_refused": 1}
    assert next(iter(found["causes"])) == "walltime"
    assert found["waits"] == [
        {"scheduler": "slurm", "queue": "long", "starts": 4, "median_s": 20.0, "p90_s": 40.0},
        {"scheduler": "slurm", "queue": "short", "starts": 1, "median_s": 5.0, "p90_s": 5.0},
    ]


@pytest.mark.parametrize(
    ("number", "part", "rank"), [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (10, 0.9, 9), (11, 0.9, 10)]
)
def test_a_quantile_is_one_of_the_values(number, part, rank):
    assert quantile(range(1, number + 1), part) == rank


def test_no_starts_make_no_figures():
    found = summary([], NOW)
    assert Counter(day["started"] for day in found["days"]) == {0: DAYS}
    assert (found["causes"], found["waits"]) == ({}, [])
