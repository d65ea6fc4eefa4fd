"""`batchspawner jobs`, as a user calls it, on the embedded queue."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import batchspawner.functions as slurminade
from batchspawner.allocation.job_records import JobRecord
from batchspawner.cli.__main__ import main
from tests.functions import tasks
from tests.functions.tasks import SECONDS

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
    future.exception(SECONDS)
    slurminade.set_dispatcher(None)


def jobs(*arguments):
    # The command has an event loop of its own.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(main, ["jobs", *map(str, arguments)]).result(SECONDS)


def test_a_job_is_listed_until_it_has_ended(begun, capsys):
    future, go = begun
    line = rf"(?m)^{int(future)} +local +running +[-0-9]+ [0-9:]+ +functions +talk$"
    assert (jobs("list"), bool(re.search(line, capsys.readouterr().out))) == (0, True)
    go.touch()
    future.result(SECONDS)
    assert jobs("log", "--follow", int(future)) == 0
    capsys.readouterr()
    jobs("list")
    assert not re.search(rf"(?m)^{int(future)} ", capsys.readouterr().out)
    jobs("list", "--all")
    assert re.search(rf"(?m)^{int(future)} +local +completed ", capsys.readouterr().out)


def test_a_list_without_jobs_says_so_and_where_the_ended_ones_are(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ended = "; see those that have ended: batchspawner jobs list --all"
    assert (jobs("list"), *capsys.readouterr()) == (0, "", f"There is no job{ended}\n")
    assert (jobs("list", "--all"), *capsys.readouterr()) == (0, "", "There is no job\n")


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
    assert type(future.exception(SECONDS)).__name__ == "JobCancelled"


def test_a_job_of_nobody_is_named(queue, capsys):
    assert jobs("cancel", "4711") == 1
    assert capsys.readouterr().err == (
        "batchspawner jobs: job 4711 is none of those submitted here in the last days\n"
    )


def test_cancelling_takes_names_or_all(queue, capsys):
    assert (jobs("cancel"), jobs("cancel", "--all", "3")) == (1, 1)
    assert capsys.readouterr().err.count("name the jobs to cancel, or give --all") == 2


@pytest.fixture
def silent_slurm(queue, tmp_path, monkeypatch):
    """A Slurm whose commands never answer, and a folder of calls with its job 17."""
    commands, calls = tmp_path / "bin", tmp_path / "calls"
    commands.mkdir()
    for name in ("squeue", "sacct", "scontrol", "scancel"):
        (commands / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(calls))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    record(calls, "slurm", "17")
    return calls


def record(calls, scheduler, job_id, ended=""):
    folder = calls / f"{scheduler}-{job_id}"
    folder.mkdir(parents=True)
    JobRecord(folder, scheduler, job_id, "functions", "f", ended=ended).write()


def test_a_silent_scheduler_is_named_and_the_rest_is_listed(silent_slurm, capsys):
    record(silent_slurm, "local", "18", "completed")
    assert jobs("list", "--all", "--timeout", "0.5") == 1
    out, err = capsys.readouterr()
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["17", "slurm", "?"],
        ["18", "local", "completed"],
    ]
    assert err == "batchspawner jobs: Slurm did not answer within 0.5 s.\n"


def test_cancelling_all_says_what_it_could_not_cancel(silent_slurm, capsys):
    assert jobs("cancel", "--all", "--timeout", "0.5") == 1
    assert capsys.readouterr().err == (
        "batchspawner jobs: Slurm did not answer within 0.5 s.\n"
        "batchspawner jobs: job slurm:17 was not cancelled: Slurm did not answer within 0.5 s.\n"
    )


def test_the_same_id_on_two_schedulers_is_told_apart(silent_slurm, capsys):
    record(silent_slurm, "local", "17", "completed")
    jobs("list", "--all", "--timeout", "0.5")
    lines = capsys.readouterr().out.splitlines()[1:]
    assert sorted(line.split()[0] for line in lines) == ["local:17", "slurm:17"]
    assert jobs("log", "17") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("batchspawner jobs: there are several jobs 17; name one of: ")
    assert sorted(line.rpartition(": ")[2].split(", ")) == ["local:17", "slurm:17"]
    assert jobs("log", "local:17") == 0


def test_a_record_is_for_its_user_only(tmp_path):
    JobRecord(tmp_path, "slurm", "17", "functions", "f").write()
    assert (tmp_path / "job.json").stat().st_mode & 0o777 == 0o600
