"""The table of all jobs: its rows, what has changed, and its CSV."""

from __future__ import annotations

import csv
import gc
import weakref
from types import SimpleNamespace

import pytest

from batchspawner.spawners.progress import job_table
from batchspawner.spawners.progress.job_table import COLUMNS, JobTable, as_csv
from tests.spawners.test_life import serve

HOSTILE = '=HYPERLINK("http://evil")</script><img src=x onerror=alert(1)>,"\'\r\n@x'


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(job_table, "_UPDATE_INTERVAL_S", -1.0)
    return JobTable()


class FakeUser(SimpleNamespace):
    """User with one server, as JupyterHub holds it."""


def user_of(spawner, name: str = "ada"):
    spawner.user.name = name
    spawner._start_pending = False
    return FakeUser(name=name, spawners={"": spawner})


async def test_a_server_has_a_row_that_changes_with_its_job(spawner, cluster, table, monkeypatch):
    monkeypatch.setattr(type(spawner), "active", True)
    await serve(spawner, cluster)
    await table.update([user_of(spawner)])
    first = table.changes("")
    (row,) = first.rows
    assert set(row) == set(COLUMNS)
    assert (row["user"], row["job_id"], row["state"]) == ("ada", spawner.job.id, "ready")
    assert row["node"]
    await table.update([user_of(spawner)])
    again = table.changes(first.cursor)
    assert (again.rows, again.removed, again.is_complete) == ([], [], False)
    spawner.job.requested = {"queue": "long"}
    await table.update([user_of(spawner)])
    assert [one["requested"] for one in table.changes(again.cursor).rows] == [{"queue": "long"}]
    await table.update([])
    gone = table.changes(again.cursor)
    assert (gone.rows, gone.removed) == ([], [("ada", "")])


async def test_who_may_not_see_all_is_not_told_what_is_gone(spawner, cluster, table, monkeypatch):
    monkeypatch.setattr(type(spawner), "active", True)
    await serve(spawner, cluster)
    await table.update([user_of(spawner)])
    seen = table.changes("", lambda _: False)
    assert seen.rows == []
    await table.update([])
    again = table.changes(seen.cursor, lambda _: False)
    assert (again.rows, again.removed, again.is_complete) == ([], [], True)


async def test_a_table_forgets_what_is_long_gone_and_then_answers_with_all(table, monkeypatch):
    monkeypatch.setattr(job_table, "_MAX_REMOVED", 2)
    rows = iter([["a", "b", "c"], []])
    monkeypatch.setattr(
        job_table,
        "_rows",
        lambda _: [((name, ""), FakeUser(), {"user": name}) for name in next(rows)],
    )
    await table.update([])
    cursor = table.changes("").cursor
    await table.update([])
    assert table.changes(cursor).is_complete


async def test_a_table_keeps_no_server_that_jupyterhub_has_forgotten(table, monkeypatch):
    known = [FakeUser()]
    monkeypatch.setattr(
        job_table, "_rows", lambda _: [(("ada", ""), one, {"user": "ada"}) for one in known]
    )
    await table.update([])
    assert table.changes("", lambda outer: outer is known[0]).rows == [{"user": "ada"}]
    forgotten = weakref.ref(known.pop())
    gc.collect()
    assert forgotten() is None
    assert table.changes("", lambda _: True).rows == []


async def test_all_who_look_share_one_table(monkeypatch):
    looked = []
    monkeypatch.setattr(job_table, "_rows", lambda _: looked.append(1) or [])
    shared = JobTable()
    for _ in range(100):
        await shared.update([])
    assert len(looked) == 1


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", '"=', "\uff1d", "\uff20"]
)
def test_no_cell_of_the_csv_is_a_formula(start):
    row = {**dict.fromkeys(COLUMNS), "user": f"{start}1+1", "reason": HOSTILE, "requested": {}}
    header, cells = csv.reader(as_csv([row]).splitlines(keepends=True))
    found = dict(zip(header, cells))
    assert found["user"] == f"'{start}1+1"
    assert found["reason"] == f"'{HOSTILE}".replace("\n@x", "\n'@x")
    assert found["started"] == ""


def test_no_part_of_a_cell_is_a_formula_where_semicolons_separate_cells():
    texts = {"reason": "a;=1+1", "queue": 'b;"=1+1"', "node": "c,\t@SUM(1)", "state": "not a-b = c"}
    row = {**dict.fromkeys(COLUMNS), **texts, "requested": {}}
    header, cells = csv.reader(as_csv([row]).splitlines(keepends=True))
    found = dict(zip(header, cells))
    assert [found[name] for name in texts] == [
        "a;'=1+1",
        'b;\'"=1+1"',
        "c,'\t'@SUM(1)",
        "not a-b = c",
    ]
