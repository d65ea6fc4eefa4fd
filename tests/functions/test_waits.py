"""What a person sees of a long wait."""

from __future__ import annotations

import concurrent.futures
import io
import threading
from types import SimpleNamespace

import pytest

from batchspawner.functions import JobFuture, progress, waits


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(waits, "_DELAY", 0.02)
    stream = Terminal()
    monkeypatch.setattr(waits, "sys", SimpleNamespace(stderr=stream))
    return stream


class Slow(JobFuture):
    """Be done when somebody has looked at it a few times."""

    looks = 0

    @property
    def reason(self):
        self.looks += 1
        if self.looks == 3:
            threading.Thread(target=self.set_result, args=("value",)).start()
        return "pending (Resources)"

    def get_job_id(self):
        return 17


def test_a_long_wait_says_what_the_job_does_and_leaves_no_line_behind(terminal):
    assert Slow().result(20) == "value"
    lines = terminal.getvalue().split("\r")
    assert lines[1] == "job 17: pending (Resources)  0:00"
    assert lines[-2:] == [" " * len(lines[1]), ""]


def test_a_wait_that_takes_too_long_ends_in_time(terminal):
    with pytest.raises(concurrent.futures.TimeoutError):
        JobFuture().result(0.1)
    assert "waiting for a job  0:00" in terminal.getvalue()


def test_a_short_wait_shows_nothing(terminal):
    future = JobFuture()
    future.set_result(3)
    assert (future.result(), terminal.getvalue()) == (3, "")


def test_nothing_is_written_into_a_log(monkeypatch):
    monkeypatch.setattr(waits, "_DELAY", 0.02)
    stream = io.StringIO()
    monkeypatch.setattr(waits, "sys", SimpleNamespace(stderr=stream))
    with pytest.raises(concurrent.futures.TimeoutError):
        JobFuture().exception(0.1)
    assert stream.getvalue() == ""


def test_progress_yields_what_is_done_and_counts_it(terminal):
    futures = [JobFuture(), JobFuture(), JobFuture()]
    futures[1].set_result("first")
    seen = []
    for one in progress(futures):
        seen.append(one)
        if len(seen) == 1:
            threading.Timer(0.2, futures[2].set_result, ["second"]).start()
        if len(seen) == 2:
            futures[0].set_result("third")
    assert [one.result() for one in seen] == ["first", "second", "third"]
    assert f"[{'#' * 10}{' ' * 20}] 1 of 3, 0 running  0:00" in terminal.getvalue()
