"""Files and folders that the options of a function name: the job writes and runs there."""

from __future__ import annotations

import os
import sys

import pytest

import batchspawner.functions as slurminade
from batchspawner.functions import Executor
from tests.functions.tasks import SECONDS


@slurminade.slurmify
def speak(text):
    print(text)
    print(f"error {text}", file=sys.stderr)
    return os.getcwd()


@pytest.fixture
def folder(queue, tmp_path, monkeypatch):
    """The current folder, with another one in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    slurminade.set_dispatcher(None)
    yield tmp_path
    slurminade.set_dispatcher(None)


def test_a_job_prints_into_the_files_that_were_named(folder):
    future = speak.with_options(output="logs/%x-%j.out", error="e.txt").distribute("one")
    assert future.result(SECONDS) == str(folder)
    out = folder / "logs" / f"speak-{future.get_job_id()}.out"
    assert (out.read_text(), (folder / "e.txt").read_text()) == ("one\n", "error one\n")
    assert future.log() == "one\n"


def test_one_file_has_both_and_begins_with_each_job(folder):
    there = speak.with_options(output="out.txt", chdir="inner")
    for text in ("one", "two"):
        assert there.distribute(text).result(SECONDS) == str(folder / "inner")
    assert (folder / "inner" / "out.txt").read_text() == "two\nerror two\n"


@pytest.mark.parametrize("scheduler", ["local", "processes"])
def test_workers_print_into_the_files_that_were_named(folder, scheduler):
    with Executor(scheduler, workers=1, output="out.txt", error="e.txt", chdir="inner") as one:
        assert one.submit(speak, "one").result(SECONDS) == str(folder / "inner")
        future = one.submit(speak, "two")
        assert future.result(SECONDS) == str(folder / "inner")
    assert (folder / "inner" / "out.txt").read_text() == "one\ntwo\n"
    assert (folder / "inner" / "e.txt").read_text() == "error one\nerror two\n"
