"""The names of slurminade: what they do, and what they refuse, without a scheduler."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import warnings
from concurrent.futures import CancelledError

import pytest

import batchspawner.functions as slurminade
from batchspawner.client.blocking_client import run
from batchspawner.errors import OptionsError
from batchspawner.functions import CannotTravel, JobFuture, defaults, submit_limits
from tests.functions import tasks
from tests.functions.tasks import SECONDS
from tests.hubs import wait_for

square = slurminade.slurmify(tasks.square)
speak = slurminade.slurmify(memory="1G")(tasks.speak)
fail = slurminade.slurmify(tasks.fail)


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Each test begins with no configuration, a full budget and no dispatcher."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("BATCHSPAWNER_FUNCTIONS_JOB", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(submit_limits._Limits, "nested", False)
    defaults.forget_configuration()
    slurminade.set_dispatch_limit(100)
    yield
    slurminade.set_dispatcher(None)
    slurminade.set_dispatch_limit(100)
    defaults.forget_configuration()


@pytest.fixture
def noted():
    dispatcher = slurminade.TestDispatcher()
    slurminade.set_dispatcher(dispatcher)
    return dispatcher


def test_a_marked_function_can_be_called_as_before(noted):
    assert (square(3), speak("hi"), square.run_locally(4)) == (9, "hi", 16)
    assert noted.calls == []


def test_a_marked_function_keeps_its_name_and_documentation():
    assert (square.__name__, square.__module__) == ("square", "tests.functions.tasks")


def test_a_distributed_call_reaches_the_dispatcher(noted):
    future = square.distribute(3)
    assert [str(call) for (call,) in noted.calls] == ["square(3)"]
    assert (type(future), future.done()) == (JobFuture, True)


def test_arguments_that_do_not_fit_are_refused_at_once(noted):
    with pytest.raises(TypeError, match="too many positional arguments"):
        square.distribute(1, 2)
    with pytest.raises(CannotTravel, match=r"argument 1 \(number\) of square"):
        square.distribute(threading.Lock())
    assert noted.calls == []


def test_commands_are_noted_as_they_were_given(noted):
    slurminade.srun("hostname")
    slurminade.sbatch(["echo", "two words"])
    assert (noted.sruns, noted.sbatches) == (["hostname"], ["echo 'two words'"])


def test_a_call_is_done_at_once_without_jobs():
    slurminade.set_dispatcher(slurminade.DirectCallDispatcher())
    assert square.distribute(3).result(0) == 9
    with pytest.raises(ValueError, match="no luck"):
        fail.distribute("no luck")


def test_a_call_runs_in_another_process_and_prints_here(capfd):
    slurminade.set_dispatcher(slurminade.SubprocessDispatcher())
    assert speak.distribute("hello").result(0) == "hello"
    assert slurminade.shell.distribute("echo $((6 * 7))").result(0) == 0
    with pytest.raises(slurminade.CommandFailed) as raised:
        slurminade.sbatch("exit 3")
    assert raised.value.status == 3
    assert capfd.readouterr() == ("hello\n42\n", "")


def test_a_process_prints_to_where_its_function_prints(capsys):
    slurminade.set_dispatcher(slurminade.SubprocessDispatcher())
    slurminade.slurmify(tasks.print_both).distribute("grün", "rot")
    assert capsys.readouterr() == ("grün\n", "rot\n")


AT_ONCE = {"direct": slurminade.DirectCallDispatcher, "process": slurminade.SubprocessDispatcher}


@pytest.mark.parametrize("dispatcher", AT_ONCE.values(), ids=AT_ONCE)
def test_a_call_that_fails_at_once_costs_no_other_call_of_its_bundle(dispatcher):
    slurminade.set_dispatcher(dispatcher())
    futures = []

    def bundle():
        with slurminade.JobBundling(max_size=3):
            futures.extend([square.distribute(2), fail.distribute("no luck"), square.distribute(4)])

    with pytest.raises(ValueError, match="no luck"):
        bundle()
    assert [futures[0].result(0), futures[2].result(0)] == [4, 16]


@pytest.mark.parametrize("dispatcher", AT_ONCE.values(), ids=AT_ONCE)
def test_calls_that_are_done_at_once_count_like_jobs(dispatcher):
    slurminade.set_dispatcher(dispatcher())
    slurminade.set_dispatch_limit(2)
    square.distribute(1)
    slurminade.sbatch("true")
    with pytest.raises(slurminade.TooManyDispatchesError, match="submitted 2 jobs, which is its"):
        square.distribute(1)


def test_what_would_be_submitted_is_printed(noted, capsys):
    first = speak.with_options(queue="long").distribute("hi")
    with slurminade.JobBundling(max_size=3):
        for number in range(2):
            square.wait_for(4711).distribute(number)
    slurminade.srun(["echo", "two words"], {"nprocs": 4})
    assert first.done()
    assert capsys.readouterr().out.splitlines() == [
        "[not submitted] function with memory='1G', queue='long':",
        "    speak('hi')",
        "[not submitted] bundle with afterany 4711:",
        "    square(0)",
        "    square(1)",
        "[not submitted] srun with nprocs=4:",
        "    echo 'two words'",
    ]


def test_a_flood_is_stopped(noted):
    slurminade.set_dispatch_limit(2)
    square.distribute(1)
    slurminade.sbatch("hostname")
    with pytest.raises(slurminade.TooManyDispatchesError, match="submitted 2 jobs, which is its"):
        square.distribute(1)
    slurminade.set_dispatch_limit(None)
    square.distribute(1)


def test_executors_whose_workers_are_jobs_count_as_one_job_each():
    slurminade.set_dispatch_limit(2)
    for _ in range(2):
        slurminade.Executor("local", workers=9).shutdown()
    with pytest.raises(slurminade.TooManyDispatchesError, match="submitted 2 jobs, which is its"):
        slurminade.Executor("local")
    slurminade.Executor("processes").shutdown()


def test_a_job_submits_jobs_only_when_it_is_meant(noted, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_FUNCTIONS_JOB", "1")
    with pytest.raises(RuntimeError, match="square was to be distributed from within a job"):
        square.distribute(1)
    slurminade.allow_recursive_distribution()
    square.distribute(1)
    assert len(noted.calls) == 1


def test_a_bundle_is_one_job_of_several_calls(noted):
    with slurminade.JobBundling(max_size=2) as bundle:
        futures = [square.distribute(n) for n in range(3)]
        assert noted.calls == []
        assert futures[0].get_job_id() is None
    assert [[str(call) for call in calls] for calls in noted.calls] == [
        ["square(0)", "square(1)"],
        ["square(2)"],
    ]
    assert [future.done() for future in futures] == [True] * 3
    assert [job.result(0) for job in bundle.get_all_jobs()] == [[None, None], [None]]


def test_calls_with_other_options_are_other_jobs(noted):
    with slurminade.JobBundling(max_size=9) as bundle:
        square.distribute(1)
        square.with_options(queue="long").distribute(2)
        bundle.add(square, 3)
    assert [[str(call) for call in calls] for calls in noted.calls] == [
        ["square(1)", "square(3)"],
        ["square(2)"],
    ]


def test_a_bundle_that_ends_with_an_exception_submits_nothing(noted):
    futures = []

    def break_off():
        with slurminade.JobBundling(max_size=9):
            futures.append(square.distribute(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert (futures[0].cancelled(), noted.calls) == (True, [])
    assert slurminade.get_dispatcher() is noted


def test_a_flush_submits_what_there_is(noted):
    with slurminade.JobBundling(max_size=9) as bundle:
        square.distribute(1)
        assert [job.result(0) for job in bundle.flush()] == [[None]]
        assert len(noted.calls) == 1
    assert len(noted.calls) == 1


# The collection finds what earlier tests have left, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_bundle_that_is_forgotten_submits_what_there_is(noted):
    bundle = slurminade.JobBundling(max_size=9)
    future = bundle.add(square, 3)
    assert noted.calls == []
    del bundle
    gc.collect()
    # If the library's thread frees it, that happens a moment later.
    assert future.result(SECONDS) is None
    assert [[str(call) for call in calls] for calls in noted.calls] == [["square(3)"]]


def test_a_bundle_that_is_freed_in_the_thread_of_the_library_submits_what_there_is(noted):
    bundle = [slurminade.JobBundling(max_size=9)]
    future = bundle[0].add(square, 3)

    async def free():
        bundle.clear()

    run(free())
    assert future.result(SECONDS) is None
    assert len(noted.calls) == 1


# The collection finds what earlier tests have left, too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_forgotten_bundle_that_cannot_be_submitted_says_so(noted, caplog):
    slurminade.set_dispatch_limit(0)
    bundle = slurminade.JobBundling(max_size=9)
    future = bundle.add(square, 3)
    del bundle
    gc.collect()
    with pytest.raises(CancelledError):
        future.result(SECONDS)
    wait_for(lambda: caplog.messages, SECONDS, "the message")
    assert caplog.messages == ["Calls of a bundle that was not flushed could not be submitted"]


def test_a_second_flush_is_warned_of_and_the_end_of_the_block_is_none(noted, caplog):
    with slurminade.JobBundling(max_size=9) as bundle:
        square.distribute(1)
        bundle.flush()
        square.distribute(2)
    assert caplog.messages == []
    bundle.add(square, 3)
    bundle.flush()
    assert [text.partition(".")[0] for text in caplog.messages] == [
        "A bundle is flushed for the second time"
    ]


def test_the_old_name_of_a_bundle_still_works(noted):
    with pytest.warns(DeprecationWarning, match="now called JobBundling"):
        bundle = slurminade.Batch(3)
    with bundle:
        square.distribute(1)
    assert len(noted.calls) == 1


def test_waiting_for_no_job_is_an_error_where_calls_are_not_done_at_once(noted, monkeypatch):
    square.wait_for([]).distribute(3)
    assert len(noted.calls) == 1
    monkeypatch.setattr(noted, "is_sequential", lambda: False)
    with pytest.raises(RuntimeError, match="to wait for no job at all"):
        square.wait_for([])
    with pytest.raises(RuntimeError, match="None is not a job"):
        square.wait_for([None])
    with pytest.raises(ValueError, match="method 'later' is not one of after, afterany"):
        square.wait_for(3, method="later")


def test_a_dependency_is_of_the_returned_function_only(noted):
    waiting = square.wait_for(17, method="afterok").wait_for(JobFuture())
    assert [one.method for one in waiting.make_options().after] == ["afterok", "afterany"]
    assert square.make_options().after == ()


def test_options_of_a_function_come_before_the_defaults(tmp_path, monkeypatch):
    (tmp_path / ".slurminade_default.json").write_text(json.dumps({"queue": "a", "memory": "9G"}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "slurminade").mkdir()
    (tmp_path / "slurminade" / ".slurminade_default.json").write_text('{"qos": "x", "gpus": 1}')
    here = tmp_path / "here"
    here.mkdir()
    (here / ".slurminade_default.json").write_text('{"qos": "y"}')
    monkeypatch.chdir(here)
    assert speak.make_options().resources == {"queue": "a", "memory": "1G", "qos": "y", "gpus": 1}
    slurminade.update_default_configuration({"gpus": 2}, queue="b")
    assert square.make_options().resources == {
        "queue": "b",
        "memory": "9G",
        "qos": "y",
        "gpus": 2,
    }
    slurminade.set_default_configuration(queue="c")
    assert square.make_options().resources == {"queue": "c"}


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / ".slurminade_default.json").write_text("{")
    with pytest.raises(OptionsError, match=r"slurminade_default.json' is not .* cannot be read"):
        square.make_options()


def test_options_can_be_changed_in_place():
    function = slurminade.slurmify(tasks.square)
    function.update_options({"queue": "a"})
    assert function.make_options().resources == {"queue": "a"}


def test_slurm_can_be_insisted_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="Slurm could not be found: there is no sbatch"):
        slurminade.SlurmDispatcher()


def test_a_reference_tells_what_is_known(noted):
    known = {"job_id": None, "exit_code": None, "state": "pending", "on_slurm": False}
    assert JobFuture().get_info() == known
    assert square.distribute(3).get_info() == {**known, "exit_code": 0, "state": "completed"}


def test_two_functions_of_one_name_are_refused(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import batchspawner.functions as s\n"
        "@s.slurmify\ndef f(): pass\n"
        "@s.slurmify\ndef f(): pass\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=SECONDS)
    assert "RuntimeError: Multiple function definitions!" in done.stderr
    assert "has f in line 2 and in line 4" in done.stderr


def test_an_entry_point_is_an_existing_script(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        slurminade.set_entry_point(tmp_path / "none.py")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"it has to be a \.py file"):
        slurminade.set_entry_point(tmp_path / "notes.txt")


def test_a_node_setup_has_no_arguments_and_runs_in_jobs_only(monkeypatch):
    called = []
    slurminade.node_setup(lambda: called.append("here"))
    monkeypatch.setenv("BATCHSPAWNER_FUNCTIONS_JOB", "1")
    slurminade.node_setup(lambda: called.append("job"))
    with pytest.raises(ValueError, match="has arguments"):
        slurminade.node_setup(tasks.square)
    assert called == ["job"]


def test_importing_is_quick_and_loads_nothing_but_the_standard_library():
    code = "import sys, batchspawner.functions as f; f.slurmify; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS
    )
    assert not {"asyncio", "jinja2", "jupyterhub", "traitlets"} & set(done.stdout.split())


def test_every_public_name_exists():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [
            name for name in slurminade.__all__ if not callable(getattr(slurminade, name))
        ] == []


def test_a_script_need_not_wait_and_its_jobs_keep_their_order(queue, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import batchspawner.functions as slurminade\n"
        "slurminade.update_default_configuration(partition='alg', exclusive=True)\n"
        "def note(text):\n"
        f"    with open({str(tmp_path / 'notes')!r}, 'a') as notes: print(text, file=notes)\n"
        "@slurminade.slurmify(constraint='fast')\n"
        "def first(): note('first')\n"
        "@slurminade.slurmify()\n"
        "def each(number): note('each')\n"
        "@slurminade.slurmify\n"
        "def last(): note('last')\n"
        "if __name__ == '__main__':\n"
        "    first.distribute()\n"
        "    slurminade.join()\n"
        "    with slurminade.JobBundling(max_size=3):\n"
        "        for number in range(6): each.distribute(number)\n"
        "    slurminade.join()\n"
        "    last.distribute()\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    tasks.wait_for(lambda: (tmp_path / "notes").read_text().endswith("last\n"))
    assert (tmp_path / "notes").read_text().split() == ["first", *["each"] * 6, "last"]
