"""Removal of the files of jobs: after a week, unless a job may have calls left."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from batchspawner.functions import session
from batchspawner.functions.protocol import worker

DAY = 86400

CALLS = worker.pack({"type": "welcome"}) + worker.pack({"type": "call"}) * 2
RESULTS = worker.pack({"type": "hello"}) + worker.pack({"type": "result"}, b"1")


@pytest.fixture
def left(tmp_path, monkeypatch):
    """Make a job's files, some days old, remove old ones, and return whether they remain."""
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path))

    def left(days, **files):
        folder = session.jobs_folder() / "job"
        folder.mkdir(parents=True)
        then = time.time() - days * DAY
        for name, content in files.items():
            (folder / name).write_bytes(content)
            os.utime(folder / name, (then, then))
        os.utime(folder, (then, then))
        session.remove_old_folders(time.time())
        return folder.exists()

    return left


@pytest.mark.parametrize(
    "files",
    [
        {"calls": CALLS},
        {"calls": CALLS, "log": b"", "results": RESULTS},
        {"call.json": b"{}"},
    ],
    ids=["waits", "is at its second call", "has workers that wait"],
)
@pytest.mark.parametrize(("days", "remains"), [(8, True), (59, True), (61, False)])
def test_a_job_that_may_have_work_left_keeps_its_files(left, files, days, remains):
    assert left(days, **files) is remains


@pytest.mark.parametrize(
    "files",
    [
        {"calls": CALLS, "results": RESULTS + worker.pack({"type": "error"})},
        {"call.json": b"{}", "log": b"", "journal": b""},
    ],
    ids=["calls", "workers"],
)
@pytest.mark.parametrize(("days", "remains"), [(6, True), (8, False)])
def test_a_job_that_is_done_keeps_its_files_for_a_week(left, files, days, remains):
    assert left(days, **files) is remains


def test_without_any_job_there_is_nothing_to_remove(left):
    session.remove_old_folders(time.time())


def test_old_files_are_removed_when_a_program_first_listens(left, monkeypatch):
    monkeypatch.setattr(session, "_open", lambda: asyncio.sleep(0))
    folder = session.jobs_folder() / "job"
    assert left(6, log=b"")
    os.utime(folder / "log", (0, 0))
    os.utime(folder, (0, 0))
    asyncio.run(session.shared_listener())
    assert not folder.exists()
