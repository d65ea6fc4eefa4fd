"""Calls that are refused, dropped or cancelled before they are a job: nothing waits for them."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import threading

import pytest

import batchspawner.functions as slurminade
from batchspawner.errors import JobCancelled, SubmitError
from batchspawner.functions import CannotTravel
from tests.functions import tasks
from tests.functions.tasks import SECONDS

square = slurminade.slurmify(tasks.square)
speak = slurminade.slurmify(tasks.speak)
refused = square.with_options(nprocs=99)


@pytest.fixture(autouse=True)
def dispatcher(queue):
    slurminade.set_dispatcher(None)
    slurminade.set_dispatch_limit(None)
    yield
    slurminade.set_dispatcher(None)
    slurminade.set_dispatch_limit(100)


@pytest.fixture
def noted():
    """A dispatcher that only records what is distributed."""
    dispatcher = slurminade.TestDispatcher()
    slurminade.set_dispatcher(dispatcher)
    return dispatcher


@pytest.fixture
def later(noted, monkeypatch):
    """The same, as if calls were done later."""
    monkeypatch.setattr(noted, "is_sequential", lambda: False)
    return noted


def all_done(futures):
    return not concurrent.futures.wait(futures, SECONDS).not_done


def test_what_comes_after_a_join_does_not_wait_for_a_job_that_was_refused():
    with pytest.raises(SubmitError, match="this queue has only 4"):
        refused.distribute(1)
    slurminade.join()
    assert square.distribute(3).result(SECONDS) == 9


def bundled(*functions, size):
    """Distribute a call of each function in a bundle that is refused; return the futures."""
    futures = []

    def distribute():
        with slurminade.JobBundling(max_size=size):
            futures.extend(one.distribute(3) for one in functions)

    with pytest.raises(SubmitError):
        distribute()
    assert all_done(futures)
    return futures


def test_the_calls_of_a_refused_bundle_say_so_and_what_was_behind_it_is_cancelled():
    first, second, behind = bundled(refused, refused, square, size=9)
    assert [type(one.exception(0)) for one in (first, second)] == [SubmitError] * 2
    assert behind.cancelled()


def test_the_jobs_before_a_refused_one_are_jobs_of_the_bundle():
    before, late = bundled(square, refused, size=9)
    assert (before.result(SECONDS), type(late.exception(0))) == (9, SubmitError)


def test_a_wait_for_a_bundle_ends_when_it_is_dropped(noted):
    futures = []

    def break_off():
        with slurminade.JobBundling(max_size=9):
            futures.append(square.distribute(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert all_done(futures)


def test_a_call_that_is_cancelled_in_its_bundle_is_not_submitted(noted):
    with slurminade.JobBundling(max_size=9):
        first, _ = square.distribute(1), square.distribute(2)
        assert first.cancel()
    assert all_done([first])
    assert [[str(call) for call in calls] for calls in noted.calls] == [["square(2)"]]


def test_a_call_that_cannot_be_sent_is_refused_before_its_bundle_is_submitted(later):
    with slurminade.JobBundling(max_size=9):
        square.distribute(1)
        with pytest.raises(CannotTravel, match=r"argument 1 \(number\) of square"):
            square.distribute(threading.Lock())
    assert [[str(call) for call in calls] for calls in later.calls] == [["square(1)"]]


def test_an_argument_that_changes_later_is_bundled_as_it_was():
    with slurminade.JobBundling(max_size=9):
        value = ["before"]
        future = slurminade.slurmify(tasks.sleep_and_return).distribute(0, value)
        value[0] = "after"
    assert future.result(SECONDS) == ["before"]


def test_a_wait_for_a_call_that_waits_for_another_ends_when_it_is_cancelled(tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    first = slurminade.slurmify(tasks.touch_and_wait).distribute(str(begun), str(go))
    second = square.wait_for(first).distribute(3)
    third = square.wait_for(second, method="afterok").distribute(3)
    assert second.cancel()
    go.touch()
    assert all_done([second, third])
    assert (second.cancelled(), type(third.exception(0))) == (True, JobCancelled)


def test_a_program_ends_though_a_job_was_refused():
    code = (
        "import batchspawner.functions as s\n"
        "from batchspawner.errors import BatchError\n"
        "try: s.sbatch('true', {'nprocs': 99})\n"
        "except BatchError as error: print(error.message)\n"
        "s.join()\n"
        "s.sbatch('true')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.stdout, done.stderr) == ("The local queue refused the job.\n", "")


def test_a_command_that_failed_has_its_exit_code():
    assert [slurminade.srun(f"exit {code}").get_exit_code() for code in (0, 3)] == [0, 3]
