"""The status line of a long wait, and the message after Ctrl-C."""

from __future__ import annotations

import concurrent.futures
import io
import itertools
import threading
from types import SimpleNamespace

import pytest

from batchspawner.functions import JobFuture, progress, wait_display
from batchspawner.jobs import JobState


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by 10 ms whenever it is read, however busy the machine is."""
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 100)
    monkeypatch.setattr(wait_display, "time", clock)


@pytest.fixture
def terminal(monkeypatch, clock):
    monkeypatch.setattr(wait_display, "_REDRAW_INTERVAL_S", 0.02)
    stream = Terminal()
    monkeypatch.setattr(wait_display, "sys", SimpleNamespace(stderr=stream))
    return stream


class Slow(JobFuture):
    """Future that is done when its reason was read a few times."""

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
    assert Slow().result(60) == "value"
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
    monkeypatch.setattr(wait_display, "_REDRAW_INTERVAL_S", 0.02)
    stream = io.StringIO()
    monkeypatch.setattr(wait_display, "sys", SimpleNamespace(stderr=stream))
    with pytest.raises(concurrent.futures.TimeoutError):
        JobFuture().exception(0.1)
    assert stream.getvalue() == ""


class Shown(JobFuture):
    """Future that is done after it was counted a few times."""

    counted = 0

    def __init__(self, value):
        super().__init__()
        self.value = value

    def running(self):
        self.counted += 1
        if self.counted == 3:
            threading.Thread(target=self.set_result, args=(self.value,)).start()
        return super().running()


class Waiting(JobFuture):
    """Future of a call of a running job."""

    def __init__(self, job_id, calls=1):
        super().__init__(SimpleNamespace(job_id=job_id, calls=calls, state=JobState.RUNNING))
        self.job.log_from = lambda place: ("", place)


@pytest.fixture
def interrupted(terminal, monkeypatch):
    """Interrupt every wait by Ctrl-C; return what is printed then."""

    def wait(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(concurrent.futures, "wait", wait)

    def told(act):
        with pytest.raises(KeyboardInterrupt):
            act()
        return terminal.getvalue()

    return told


@pytest.mark.parametrize(
    "wait",
    [
        JobFuture.result,
        JobFuture.exception,
        lambda one: one.log(follow=True),
        lambda one: list(progress([one])),
    ],
    ids=["result", "exception", "log", "progress"],
)
def test_ctrl_c_in_every_kind_of_wait_says_how_to_cancel_the_job(wait, interrupted):
    assert interrupted(lambda: wait(Waiting("17"))) == (
        "Stopped waiting; job 17 goes on. To end it: batchspawner jobs cancel 17\n"
    )


def test_ctrl_c_names_each_job_once_that_goes_on(interrupted):
    done = Waiting("16")
    done.set_result(None)
    futures = [done, Waiting("17", 2), Waiting("17", 2), Waiting("18"), Waiting("")]
    assert interrupted(lambda: list(progress(futures))) == (
        "Stopped waiting; jobs 17, 18 go on. To end them: batchspawner jobs cancel 17 18\n"
    )


def test_ctrl_c_says_of_a_worker_that_it_ends_its_call(interrupted):
    assert interrupted(Waiting("17", 0).result) == (
        "Stopped waiting; job 17 goes on until the call is done. "
        "To end it: batchspawner jobs cancel 17\n"
    )


def test_progress_yields_what_is_done_and_counts_it(terminal):
    futures = [JobFuture(), JobFuture(), Shown("second")]
    futures[1].set_result("first")
    seen = []
    for one in progress(futures):
        seen.append(one)
        if len(seen) == 2:
            futures[0].set_result("third")
    assert [one.result() for one in seen] == ["first", "second", "third"]
    lines = terminal.getvalue().split("\r")
    assert f" 33%|{'#' * 10}{' ' * 20}| 1/3 [0:00<0:00, 0 running]" in lines
    assert lines[-1] == f"100%|{'#' * 30}| 3/3 [0:00<0:00, 0 running]\n"


def test_results_come_in_order_while_a_bar_counts_them(terminal):
    futures = [Shown("first"), JobFuture(), Shown("third")]
    futures[1].set_result("second")
    assert list(wait_display.results(futures, 60)) == ["first", "second", "third"]
    lines = terminal.getvalue().split("\r")
    assert f" 33%|{'#' * 10}{' ' * 20}| 1/3 [0:00<0:00, 0 running]" in lines
    assert lines[-1] == f"100%|{'#' * 30}| 3/3 [0:00<0:00, 0 running]\n"


def test_results_that_take_too_long_cancel_the_calls(terminal):
    futures = [JobFuture(), JobFuture()]
    with pytest.raises(concurrent.futures.TimeoutError):
        list(wait_display.results(futures, 0.1))
    assert [one.cancelled() for one in futures] == [True, True]
    assert f"  0%|{' ' * 30}| 0/2 [0:00<?, 0 running]" in terminal.getvalue()
