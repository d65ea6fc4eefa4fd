"""What `concurrent.futures` promises of every executor, and what ours promises in addition."""

from __future__ import annotations

import concurrent.futures
import gc
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION

import pytest

from batchspawner.errors import JobFailed, JobOutOfMemory
from batchspawner.functions import CannotTravel, Executor, RemoteError
from batchspawner.jobs import JobState
from tests.functions import tasks
from tests.functions.tasks import SECONDS


@pytest.fixture(scope="module", params=["processes", "local"])
def executor(request, queue):
    with Executor(request.param, workers=2) as one:
        yield one


@pytest.fixture
def single():
    """An executor with one worker."""
    with Executor("processes", workers=1) as one:
        yield one


class Thing:
    pass


def test_a_call_returns_its_value(executor):
    assert executor.submit(pow, 2, 8).result(SECONDS) == 256


def test_keywords_reach_the_function(executor):
    assert executor.submit(dict, self=1, fn=2).result(SECONDS) == {"self": 1, "fn": 2}


def test_calls_can_be_mapped_in_order(executor):
    values = executor.map(tasks.sleep_and_return, [0.1, 0.0], "ab", timeout=SECONDS)
    assert list(values) == ["a", "b"]


def test_an_exception_comes_out_of_a_map_where_its_item_is(executor):
    values = executor.map(divmod, [1, 1, 1], [2, 1, 0])
    assert [next(values), next(values)] == [(0, 1), (1, 0)]
    with pytest.raises(ZeroDivisionError):
        next(values)


def test_a_map_that_takes_too_long_times_out(executor, tmp_path):
    go = tmp_path / "go"
    values = executor.map(tasks.wait_for_file, [str(go)], timeout=0)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(values)
    go.touch()


def test_a_chunk_size_must_be_positive(executor):
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(str, "abc", chunksize=0)


@pytest.mark.parametrize("number", [0, -1])
def test_there_must_be_workers(number):
    with pytest.raises(ValueError, match="workers must be greater than 0"):
        Executor("processes", workers=number)


def test_a_call_that_waits_can_be_cancelled(single, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    first = single.submit(tasks.touch_and_wait, str(begun), str(go))
    second = single.submit(pow, 2, 2)
    tasks.wait_for_file(begun)
    assert (first.running(), first.cancel(), second.cancel()) == (True, False, True)
    go.touch()
    with pytest.raises(concurrent.futures.CancelledError):
        second.result(SECONDS)
    assert first.result(SECONDS) == str(go)


def test_callbacks_run_and_may_submit(executor):
    submitted: list = []
    seen = threading.Event()

    def submit_another(future):
        submitted.append(executor.submit(pow, future.result(), 2))
        seen.set()

    executor.submit(pow, 2, 3).add_done_callback(submit_another)
    assert seen.wait(SECONDS)
    assert submitted[0].result(SECONDS) == 64


def test_futures_can_be_waited_for(executor, tmp_path):
    go = tmp_path / "go"
    slow = executor.submit(tasks.wait_for_file, str(go))
    quick, bad = executor.submit(pow, 2, 2), executor.submit(tasks.fail, "no")
    done, _ = concurrent.futures.wait([slow, quick], SECONDS, return_when=FIRST_COMPLETED)
    assert done == {quick}
    done, _ = concurrent.futures.wait([slow, bad], SECONDS, return_when=FIRST_EXCEPTION)
    assert done == {bad}
    go.touch()
    assert (
        concurrent.futures.wait([slow, quick, bad], SECONDS, return_when=ALL_COMPLETED)[1] == set()
    )


def test_as_completed_yields_every_future_once(executor):
    futures = {executor.submit(pow, n, 2) for n in range(20)}
    completed = list(concurrent.futures.as_completed(futures, SECONDS))
    assert (set(completed), len(completed)) == (futures, 20)


async def test_a_future_can_be_awaited(executor):
    assert await executor.submit(pow, 3, 3) == 27


# The collection finds what earlier tests have left, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_call_does_not_keep_its_argument_alive(executor):
    thing = Thing()
    gone = threading.Event()
    weakref.finalize(thing, gone.set)
    future = executor.submit(id, thing)
    del thing
    future.result(SECONDS)
    gc.collect()
    assert gone.wait(SECONDS)


def test_the_remote_traceback_is_the_cause_of_an_exception(executor):
    error = executor.submit(tasks.fail, "no luck").exception(SECONDS)
    assert (type(error), str(error)) == (ValueError, "no luck")
    assert "raise ValueError(text)\nValueError: no luck" in str(error.__cause__)


def test_an_exception_that_cannot_be_sent_is_described_in_words(executor):
    error = executor.submit(tasks.fail_stubbornly).exception(SECONDS)
    assert (type(error), str(error)) == (RemoteError, "Stubborn: cannot")
    assert "fail_stubbornly" in str(error.__cause__)


def test_a_result_that_cannot_be_sent_is_an_error_of_its_call_only(executor):
    error = executor.submit(tasks.unpicklable).exception(SECONDS)
    assert (type(error), str(error)) == (
        TypeError,
        "the result, a generator, cannot be sent back: cannot pickle 'generator' object",
    )
    assert executor.submit(pow, 2, 2).result(SECONDS) == 4


def test_lambdas_and_closures_can_be_sent(executor):
    factor = 7
    assert list(executor.map(lambda n: n * factor, range(4))) == [0, 7, 14, 21]


def test_classes_of_main_come_back_as_themselves():
    code = (
        "from batchspawner.functions import Executor\n"
        "class Point:\n    x = 3\n"
        "def make(): return Point()\n"
        "with Executor('processes', workers=1) as one:\n"
        "    point = one.submit(make).result(120)\n"
        "print(isinstance(point, Point), point.x)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.stdout, done.stderr) == ("True 3\n", "")


def test_what_cannot_be_sent_is_named_before_anything_is_submitted(executor):
    lock = threading.Lock()
    with pytest.raises(CannotTravel, match=r"2 \(value\) of sleep_and_return: \['a'\], a lock"):
        executor.submit(tasks.sleep_and_return, 0, {"a": lock})
    with pytest.raises(CannotTravel, match="its variable lock, a lock"):
        executor.submit(lambda: lock)


def test_a_call_whose_process_dies_fails_and_the_others_do_not(executor):
    dead = executor.submit(tasks.die, int(signal.SIGSEGV))
    others = [executor.submit(tasks.square, n) for n in range(10)]
    assert [other.result(SECONDS) for other in others] == [n * n for n in range(10)]
    error = dead.exception(SECONDS)
    assert (type(error), error.status.state, error.status.signal) == (
        JobFailed,
        JobState.FAILED,
        signal.SIGSEGV,
    )


def test_a_call_that_is_interrupted_in_its_job_does_not_interrupt_its_caller(executor):
    error = executor.submit(tasks.die, int(signal.SIGINT)).exception(SECONDS)
    assert (type(error), error.status.signal) == (JobFailed, signal.SIGINT)


def test_a_process_that_the_kernel_kills_was_out_of_memory(executor):
    error = executor.submit(tasks.die, int(signal.SIGKILL)).exception(SECONDS)
    assert type(error) is JobOutOfMemory
    assert "most likely for its memory" in str(error)


def test_futures_are_taken_as_arguments(executor):
    first = executor.submit(tasks.sleep_and_return, 0.05, 2)
    assert executor.submit(pow, first, 5).result(SECONDS) == 32


def test_a_call_whose_argument_failed_fails_with_the_same_exception(executor):
    first = executor.submit(tasks.fail, "no luck")
    error = executor.submit(pow, first, 5).exception(SECONDS)
    assert (type(error), str(error)) == (ValueError, "no luck")


def test_calls_are_spread_over_all_workers(tmp_path):
    with Executor("processes", workers=2) as one:
        begun, go = tmp_path / "begun", tmp_path / "go"
        first = one.submit(tasks.touch_and_wait, str(begun), str(go))
        tasks.wait_for_file(begun)
        one.submit(go.touch).result(SECONDS)
        assert first.result(SECONDS) == str(go)


def test_a_worker_is_replaced_after_its_number_of_calls():
    with Executor("processes", workers=1, calls_each=2) as one:
        pids = list(one.map(tasks.process_id, range(6)))
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 2]


def test_thousands_of_short_calls_are_quick(executor):
    assert sum(executor.map(tasks.square, range(3000))) == sum(n * n for n in range(3000))


def test_short_calls_do_not_stay_behind_a_long_one(executor, tmp_path):
    list(executor.map(tasks.square, range(500)))  # both workers take many at a time now
    go = tmp_path / "go"
    slow = executor.submit(tasks.wait_for_file, str(go))
    assert list(executor.map(tasks.square, range(500), timeout=SECONDS))[-1] == 499**2
    assert not slow.done()
    go.touch()


def test_python_values_come_back_as_they_are(executor):
    values = [(1, 2), {3, 4}, {"a": [None, True, 1.5]}, b"x", 2**100, float("inf"), {1: "a"}]
    assert [
        executor.submit(tasks.sleep_and_return, 0, value).result(SECONDS) for value in values
    ] == (values)


@pytest.mark.parametrize("scheduler", ["processes", "local"])
def test_each_worker_is_initialized_before_its_first_call(queue, scheduler):
    with Executor(
        scheduler, max_workers=1, calls_each=2, initializer=tasks.begin, initargs=(5, "x")
    ) as one:
        assert list(one.map(tasks.begun, range(3))) == [[(5, "x")]] * 3


def test_an_initializer_that_fails_breaks_the_calls_and_says_why():
    with (
        Executor("processes", workers=1, initializer=tasks.fail, initargs=("no licence",)) as one,
        pytest.raises(concurrent.futures.BrokenExecutor) as raised,
    ):
        one.submit(pow, 2, 3).result(SECONDS)
    told = "the initializer of this worker has failed: ValueError: no licence"
    assert str(raised.value) == told
    assert "in fail" in str(raised.value.__cause__)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((3,), {}),
        ((None, 3), {}),
        ((), {"max_workers": 3}),
        (("auto", 3), {}),
        ((), {"workers": 3}),
    ],
)
def test_the_number_of_workers_is_given_as_to_any_executor(monkeypatch, args, kwargs):
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "local")
    with Executor(*args, **kwargs) as one:
        assert one._make_pool.args[1] == 3


def test_the_number_of_workers_is_given_once():
    with pytest.raises(TypeError, match="the number of workers is given twice"):
        Executor(2, max_workers=3)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Executor(2, initializer="prepare")
