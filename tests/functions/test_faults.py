"""Calls whose jobs, programs or connections die, on the embedded queue."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import batchspawner.functions as slurminade
from batchspawner.allocation import allocation
from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.listener import Listener
from batchspawner.client import blocking_client
from batchspawner.errors import (
    BatchError,
    JobCancelled,
    JobFailed,
    JobOutOfMemory,
    JobTimeout,
    OptionsError,
)
from batchspawner.functions import session
from batchspawner.functions.dispatch import folder_job
from batchspawner.functions.executor import job_workers
from batchspawner.jobs import JobState
from tests.functions import tasks
from tests.functions.tasks import SECONDS

JOURNEY = Path(__file__).with_name("journey.py")

kill = slurminade.slurmify(tasks.die)
speak = slurminade.slurmify(tasks.speak)
talk = slurminade.slurmify(tasks.talk)
wait = slurminade.slurmify(tasks.touch_and_wait)
large = slurminade.slurmify(tasks.large)
shout = slurminade.slurmify(tasks.shout)
parent = slurminade.slurmify(tasks.process_of_agent)


@pytest.fixture(autouse=True)
def dispatcher(queue, monkeypatch):
    monkeypatch.setattr(allocation, "_SILENT_INTERVAL_S", 0.5)
    monkeypatch.setattr(folder_job, "QUIET_PERIOD_S", 0.5)
    slurminade.set_dispatcher(None)
    slurminade.set_dispatch_limit(None)
    yield slurminade.get_dispatcher()
    slurminade.set_dispatcher(None)
    slurminade.set_dispatch_limit(100)


@pytest.fixture
def places(tmp_path):
    """The file that a call makes when it has begun, and the one that it waits for."""
    return tmp_path / "begun", tmp_path / "go"


def command(*words):
    argv = [sys.executable, "-m", "batchspawner.localqueue", *map(str, words)]
    subprocess.run(argv, check=True, capture_output=True, timeout=SECONDS)


def queued():
    argv = [sys.executable, "-m", "batchspawner.localqueue", "query"]
    done = subprocess.run(argv, check=True, capture_output=True, timeout=SECONDS)
    jobs = json.loads(done.stdout)["jobs"]
    return [one for one in jobs if one["state"] in ("PENDING", "RUNNING")]


def listener():
    async def get():
        return await session.shared_listener()

    return blocking_client.run(get())


def test_a_job_that_reaches_its_walltime_raises_what_it_printed(places):
    begun, go = places
    for runtime in (2, 20, 60):  # a busy machine needs a longer one to print anything
        waiting = talk.with_options(runtime=f"0:00:{runtime:02}")
        future = waiting.distribute("slow", str(begun), str(go), "")
        error = future.exception(SECONDS)
        if begun.exists():
            break
    assert (type(error), error.log_tail) == (JobTimeout, "slow")
    assert future.state is JobState.FAILED


def test_a_running_job_that_somebody_cancels_was_cancelled(places):
    begun, go = places
    future = talk.distribute("stopped", str(begun), str(go), "")
    tasks.wait_for_file(begun)
    command("cancel", int(future))
    error = future.exception(SECONDS)
    assert (type(error), error.log_tail) == (JobCancelled, "stopped")


def test_a_waiting_job_that_somebody_cancels_was_cancelled(places):
    begun, go = places
    first = wait.with_options(nprocs=4).distribute(str(begun), str(go))
    future = speak.distribute("never")
    tasks.wait_for_file(begun)
    command("cancel", int(future))
    assert type(future.exception(SECONDS)) is JobCancelled
    go.touch()
    assert first.result(SECONDS) == str(go)


def test_how_a_worker_ended_is_known_if_its_agent_never_had_a_connection(monkeypatch):
    attach = CallFolder.attach

    def attach_elsewhere(call, listener):
        attach(call, listener)
        call._settings["addresses"] = [("127.0.0.1", 1)]
        call._write_settings()

    monkeypatch.setattr(CallFolder, "attach", attach_elsewhere)
    error = kill.distribute(int(signal.SIGKILL)).exception(SECONDS)
    assert type(error) is JobOutOfMemory


def test_a_call_that_is_interrupted_in_its_job_does_not_interrupt_its_caller():
    error = kill.distribute(int(signal.SIGINT)).exception(SECONDS)
    assert (type(error), error.status.signal) == (JobFailed, signal.SIGINT)


def test_a_job_whose_agent_is_killed_does_not_leave_its_caller_waiting(places):
    begun, go = places
    future = parent.distribute(str(begun), str(go))
    tasks.wait_for_file(begun)
    os.kill(int(begun.read_text()), signal.SIGKILL)
    assert isinstance(future.exception(SECONDS), JobFailed)
    go.touch()


def test_a_lost_connection_loses_nothing(places):
    begun, go = places
    future = wait.distribute(str(begun), str(go))
    tasks.wait_for_file(begun)
    for connection in list(listener()._connections):
        blocking_client.background_loop().call_soon_threadsafe(connection.cancel)
    go.touch()
    assert future.result(SECONDS) == str(go)


def test_the_results_of_a_job_that_cannot_connect_are_read_when_it_has_ended(monkeypatch):
    monkeypatch.setattr(Listener, "expect", lambda self, call: call.attach(self))
    assert speak.distribute("hello").result(SECONDS) == "hello"


def test_jobs_without_network_use_files():
    slurminade.set_dispatcher(slurminade.BatchDispatcher("local", network=False))
    assert speak.distribute("hello").result(SECONDS) == "hello"


def test_workers_without_network_use_files():
    with slurminade.Executor("local", workers=1, network=False) as executor:
        assert list(executor.map(tasks.square, range(20), timeout=SECONDS))[-1] == 361


def test_a_result_of_many_megabytes_arrives():
    assert len(large.distribute(40_000_000).result(SECONDS)) == 40_000_000


def test_a_flood_of_output_stays_in_the_job():
    future = shout.distribute(200_000)
    assert future.result(SECONDS) == 200_000
    assert len(future.log()) == 200_000 * 100


def test_a_call_of_a_job_may_submit_jobs(tmp_path):
    script = tmp_path / "nested.py"
    script.write_text(
        "import batchspawner.functions as s\n"
        "s.allow_recursive_distribution()\n"
        "@s.slurmify\ndef inner(n): return n + 1\n"
        "@s.slurmify\ndef outer(n): return inner.distribute(n).result(120) * 10\n"
        "if __name__ == '__main__': print(outer.distribute(3).result(120))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=SECONDS)
    assert (done.stdout, done.stderr) == ("40\n", "")


def test_a_job_goes_on_when_its_program_is_killed_and_another_attaches_to_it(places):
    begun, go = places
    program = subprocess.Popen(
        [sys.executable, str(JOURNEY), "hold", str(begun), str(go), "{}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        job = json.loads(program.stdout.readline())
        tasks.wait_for_file(begun)
        program.kill()
    future = slurminade.attach(job)
    assert not future.done()
    go.touch()
    assert future.result(SECONDS) == str(go)


def test_an_interrupted_wait_leaves_the_job_and_says_how_to_cancel_it(places):
    begun, go = places
    program = subprocess.Popen(
        [sys.executable, str(JOURNEY), "hold", str(begun), str(go), "{}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        job = json.loads(program.stdout.readline())
        tasks.wait_for_file(begun)
        program.send_signal(signal.SIGINT)
        err = program.stderr.read()
    told = f"job {job} goes on. To end it: batchspawner jobs cancel {job}"
    assert told in err
    future = slurminade.attach(job)
    go.touch()
    assert future.result(SECONDS) == str(go)


def test_an_unknown_job_cannot_be_attached_to():
    with pytest.raises(LookupError, match="job 4711 is none of those submitted here"):
        slurminade.attach(4711)


def test_a_call_of_an_executor_whose_job_is_cancelled_fails_and_the_next_does_not(places):
    begun, go = places
    with slurminade.Executor("local", workers=1) as executor:
        future = executor.submit(tasks.touch_and_wait, str(begun), str(go))
        tasks.wait_for_file(begun)
        later = executor.submit(pow, 2, 3)
        command("cancel", int(future))
        assert type(future.exception(SECONDS)) is JobCancelled
        assert later.result(SECONDS) == 8


def test_jobs_of_an_interrupted_program_end_after_the_calls_that_they_are_at(places):
    begun, go = places
    code = (
        "from batchspawner.functions import Executor\n"
        "from tests.functions.tasks import touch_and_wait\n"
        "with Executor('local', workers=2, nprocs=4) as one:\n"
        f"    calls = [one.submit(touch_and_wait, {str(begun)!r}, {str(go)!r}) for _ in range(9)]\n"
        "    calls[0].result()\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as program:
        tasks.wait_for_file(begun)
        running, _ = (one["id"] for one in queued())
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=SECONDS)
    assert f"Stopped waiting; job {running} goes on until the call is done." in told
    assert [one["id"] for one in queued()] == [running]
    begun.unlink()
    go.touch()
    tasks.wait_for(lambda: not queued())
    assert not begun.exists()


def test_workers_stop_before_their_walltime_and_others_go_on():
    for runtime in (5, 20, 50):  # a busy machine needs a longer one to take any call
        options = {"runtime": f"0:00:{runtime:02}", "margin": 0.6 * runtime}
        with contextlib.suppress(BatchError):
            with slurminade.Executor("local", workers=1, **options) as executor:
                calls = executor.map(
                    tasks.process_id_after, [0.08 * runtime] * 12, timeout=2 * SECONDS
                )
                pids = set(calls)
            break
    assert len(pids) > 1


def test_a_walltime_that_is_shorter_than_the_margin_is_of_use():
    with slurminade.Executor("local", workers=1, runtime="0:05:00", margin=400) as executor:
        pids = set(executor.map(tasks.process_id, range(5), timeout=SECONDS))
    assert len(pids) == 1


@pytest.fixture
def forbidden(monkeypatch):
    """Agents call an address where nobody listens, and give up at once."""
    create, attach = CallFolder.create, CallFolder.attach

    def elsewhere(call, listener):
        attach(call, listener)
        call._settings["addresses"] = [("127.0.0.1", 1)]
        call._write_settings()

    def without_waiting(folder=None, **settings):
        return create(folder, **{**settings, "orphan_timeout": 1})

    monkeypatch.setattr(CallFolder, "attach", elsewhere)
    monkeypatch.setattr(CallFolder, "create", without_waiting)
    monkeypatch.setattr(job_workers, "QUIET_PERIOD_S", 0.1)
    monkeypatch.setattr(job_workers, "_UNHEARD_WARNING_DELAY_S", 0.1)


def test_workers_that_cannot_call_are_reported_and_not_requested_again_and_again(forbidden, caplog):
    with slurminade.Executor("local", workers=1) as executor:
        future = executor.submit(pow, 2, 3)
        error = future.exception(SECONDS)
    told = re.fullmatch(
        r"Job (\S+) ran, but no worker of it could be heard\. It says: batchspawner agent: "
        r"cannot call home yet: .*refused\. Where nodes may not connect .* use network=False\.",
        str(error),
    )
    assert told
    assert f"Job {told[1]} ran, but no worker of it could be heard." in caplog.text


def test_a_job_that_cannot_call_still_returns_its_result(forbidden):
    assert speak.distribute("hello").result(SECONDS) == "hello"


def test_an_option_that_makes_no_sense_is_refused_before_anything_is_submitted():
    with pytest.raises(OptionsError, match="runtime: 'soon' is not allowed"):
        speak.with_options(runtime="soon").distribute("x")


def test_a_call_that_the_kernel_kills_was_out_of_memory():
    error = kill.distribute(int(signal.SIGKILL)).exception(SECONDS)
    assert type(error) is JobOutOfMemory
    with slurminade.Executor("local", workers=1) as executor:
        error = executor.submit(tasks.die, int(signal.SIGKILL)).exception(SECONDS)
    assert type(error) is JobOutOfMemory
