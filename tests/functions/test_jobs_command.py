"""`batchspawner jobs`, as a user calls it, on the embedded queue."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import batchspawner.functions as slurminade
from batchspawner.allocation.job_records import JobRecord
from batchspawner.cli.__main__ import main
from tests.functions import tasks

talk = slurminade.slurmify(tasks.talk)


@pytest.fixture
def begun(queue, tmp_path):
    """A job that has printed a line and waits for a file."""
    slurminade.set_dispatcher(None)
    go = tmp_path / "go"
    future = talk.distribute("one", str(tmp_path / "begun"), str(go), "two")
    tasks.wait_for_file(tmp_path / "begun")
    yield future, go
    go.touch()
    future.exception(20)
    slurminade.set_dispatcher(None)


def jobs(*arguments):
    # The command has an event loop of its own.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(main, ["jobs", *map(str, arguments)]).result(30)


def test_a_job_is_listed_until_it_has_ended(begun, capsys):
    future, go = begun
    line = rf"(?m)^{int(future)} +local +running +[-0-9]+ [0-9:]+ +functions +talk$"
    assert (jobs("list"), bool(re.search(line, capsys.readouterr().out))) == (0, True)
    go.touch()
    future.result(20)
    assert jobs("log", "--follow", int(future)) == 0
    capsys.readouterr()
    jobs("list")
    assert not re.search(rf"(?m)^{int(future)} ", capsys.readouterr().out)
    jobs("list", "--all")
    assert re.search(rf"(?m)^{int(future)} +local +completed ", capsys.readouterr().out)


def test_what_a_job_prints_is_followed_to_its_end(begun, capsys):
    future, go = begun
    assert jobs("log", int(future)) == 0
    assert capsys.readouterr().out == "one\n"
    go.touch()
    assert jobs("log", "-f", int(future)) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("one\ntwo\n", f"job {int(future)} ended: completed\n")


def test_a_job_is_cancelled(begun):
    future, _ = begun
    assert jobs("cancel", int(future)) == 0
    assert type(future.exception(20)).__name__ == "JobCancelled"


def test_a_job_of_nobody_is_named(queue, capsys):
    assert jobs("cancel", "4711") == 1
    assert capsys.readouterr().err == (
        "batchspawner jobs: job 4711 is none of those submitted here in the last days\n"
    )


def test_cancelling_takes_names_or_all(queue, capsys):
    assert (jobs("cancel"), jobs("cancel", "--all", "3")) == (1, 1)
    assert capsys.readouterr().err.count("name the jobs to cancel, or give --all") == 2


def test_a_record_is_for_its_user_only(tmp_path):
    JobRecord(tmp_path, "slurm", "17", "functions", "f").write()
    assert (tmp_path / "job.json").stat().st_mode & 0o777 == 0o600
