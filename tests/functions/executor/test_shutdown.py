"""The end of executors: by a shutdown, and with the program."""

from __future__ import annotations

import concurrent.futures
import gc
import signal
import subprocess
import sys
import time

import psutil
import pytest

from batchspawner.functions import Executor
from tests.functions import tasks
from tests.functions.tasks import SECONDS


def test_nothing_can_be_submitted_after_the_shutdown():
    one = Executor("processes")
    one.shutdown()
    one.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        one.submit(pow, 2, 5)


def test_a_shutdown_waits_for_all_calls():
    with Executor("processes", workers=1) as one:
        futures = [one.submit(tasks.sleep_and_return, 0.05, n) for n in range(3)]
    assert [future.result(0) for future in futures] == [0, 1, 2]


def test_a_shutdown_that_does_not_wait_still_sees_all_calls_done():
    one = Executor("processes", workers=1)
    futures = [one.submit(tasks.sleep_and_return, 0.05, n) for n in range(3)]
    one.shutdown(wait=False)
    assert [future.result(SECONDS) for future in futures] == [0, 1, 2]


def test_a_shutdown_can_cancel_what_has_not_begun(tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    one = Executor("processes", workers=1)
    first = one.submit(tasks.touch_and_wait, str(begun), str(go))
    others = [one.submit(pow, 2, n) for n in range(5)]
    tasks.wait_for_file(begun)
    one.shutdown(wait=False, cancel_futures=True)
    go.touch()
    one.shutdown()
    assert first.result(SECONDS) == str(go)
    assert [other.cancelled() for other in others] == [True] * 5


def test_a_shutdown_waits_for_calls_that_wait_for_others():
    with Executor("processes", workers=1) as one:
        second = one.submit(pow, one.submit(tasks.sleep_and_return, 0.1, 3), 2)
    assert second.result(0) == 9


def test_a_shutdown_can_cancel_calls_that_wait_for_others(tmp_path, caplog):
    begun, go = tmp_path / "begun", tmp_path / "go"
    one = Executor("processes", workers=1)
    first = one.submit(tasks.touch_and_wait, str(begun), str(go))
    never: concurrent.futures.Future = concurrent.futures.Future()
    later = [one.submit(str, first), one.submit(str, never)]
    tasks.wait_for_file(begun)
    one.shutdown(wait=False, cancel_futures=True)
    go.touch()
    one.shutdown()
    assert ([other.cancelled() for other in later], first.done()) == ([True, True], True)
    never.set_result("late")
    one.shutdown()
    assert caplog.messages == []


PROGRAMS = {
    "open": """
one = Executor("processes")
future = one.submit(sleep_and_return, 0.5, "apple")
""",
    "forgotten": """
future = Executor("processes").submit(sleep_and_return, 0.5, "apple")
""",
    "shut down": """
one = Executor("processes")
future = one.submit(sleep_and_return, 0.5, "apple")
one.shutdown(wait=False)
""",
    "shut down before its argument is there": """
one = Executor("processes")
future = one.submit(sleep_and_return, 0.2, one.submit(sleep_and_return, 0.3, "apple"))
one.shutdown(wait=False)
""",
}


@pytest.mark.parametrize("moment", [0, 0.2], ids=["at once", "later"])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_ends_waits_for_its_calls(program, moment):
    code = (
        "import time\n"
        "from batchspawner.functions import Executor\n"
        f"from tests.functions.tasks import sleep_and_return\n{program}"
        "future.add_done_callback(lambda one: print(one.result()))\n"
        f"time.sleep({moment})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "apple\n", "")


def test_a_process_that_is_forked_has_executors_of_its_own_and_ends():
    code = (
        "import multiprocessing\n"
        "from batchspawner.functions import Executor\n"
        "one = Executor('processes', workers=1)\n"
        "one.submit(pow, 2, 3).result(120)\n"
        "def act():\n"
        "    with Executor('processes', workers=1) as mine:\n"
        "        print(mine.submit(pow, 2, 4).result(120))\n"
        "child = multiprocessing.get_context('fork').Process(target=act)\n"
        "child.start()\n"
        "child.join(60)\n"
        "print(child.exitcode)\n"
        "child.kill()\n"
    )
    argv = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout.split() == ["16", "0"]


def test_nothing_can_be_submitted_when_the_program_has_ended():
    code = (
        "import atexit\n"
        "from batchspawner.functions import Executor\n"
        "one = Executor('processes', workers=1)\n"
        "one.submit(id, 42).result(120)\n"
        "atexit.register(lambda: one.submit(id, None))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS
    )
    assert "RuntimeError: cannot schedule new futures after shutdown" in done.stderr


# The collection finds what earlier tests have left, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_executor_that_is_forgotten_does_its_calls_and_ends_its_workers():
    one = Executor("processes", workers=1)
    future = one.submit(tasks.process_id)
    del one
    gc.collect()
    pid = future.result(SECONDS)
    tasks.wait_for(lambda: not psutil.pid_exists(pid))


@pytest.mark.parametrize(("how", "status"), tasks.FORKS.items())
def test_a_process_that_a_call_has_forked_ends_with_the_call(how, status):
    with Executor("processes", workers=1) as one:
        assert one.submit(tasks.fork_and_end, how).result(SECONDS) == status
        assert one.submit(pow, 2, 3).result(SECONDS) == 8


LEFT_BEHIND = {
    "thread": tasks.leave_thread,
    "process": tasks.leave_process,
    "child": tasks.leave_child,
    "fork": tasks.leave_fork,
    "child of a call that died": tasks.leave_child_and_die,
}


@pytest.mark.parametrize("scheduler", ["processes", "local"])
@pytest.mark.parametrize("function", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_a_call_leaves_behind_does_not_keep_the_executor(
    queue, monkeypatch, function, scheduler
):
    monkeypatch.setenv("BATCHSPAWNER_FUNCTIONS_GRACE", "0.5")
    begin = time.monotonic()
    with Executor(scheduler, workers=1) as one:
        one.submit(function).exception(SECONDS)
    assert time.monotonic() - begin < tasks.LEFT_BEHIND_S / 2


@pytest.mark.parametrize("last", ["first.result()", "pass"], ids=["block", "end of the block"])
def test_an_interrupt_cancels_what_has_not_begun_and_waits_for_nothing(last, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    code = (
        "from batchspawner.functions import Executor\n"
        "from tests.functions.tasks import touch_and_wait\n"
        "with Executor('processes', workers=1) as one:\n"
        f"    first = one.submit(touch_and_wait, {str(begun)!r}, {str(go)!r})\n"
        "    for later in (one.submit(pow, 2, 2), one.submit(str, first)):\n"
        "        later.add_done_callback(lambda one: print(one.cancelled(), flush=True))\n"
        "    print('submitted', flush=True)\n"
        f"    {last}\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        # The first call may begin before the others have been submitted.
        assert one.stdout.readline() == "submitted\n"
        tasks.wait_for_file(begun)
        one.send_signal(signal.SIGINT)
        out, errors = one.communicate(timeout=SECONDS / 2)
    go.touch()
    assert (out, errors.splitlines()[-1]) == ("True\nTrue\n", "KeyboardInterrupt")
