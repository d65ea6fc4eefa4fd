"""Executors that submit jobs on a login host, and hear from them through one ssh connection."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from batchspawner.errors import ConnectionFailed, JobCancelled, OptionsError
from batchspawner.functions import Executor
from tests.functions import tasks
from tests.functions.conftest import end_all
from tests.functions.tasks import SECONDS
from tests.hubs import wait_for
from tests.processes import called
from tests.sshd import Sshd, make_key, unavailable


@pytest.fixture(scope="module")
def login(tmp_path_factory):
    """A login host with a queue of its own, and how ssh gets there."""
    if unavailable():
        pytest.skip(unavailable())
    folder = tmp_path_factory.mktemp("login")
    queue = {"BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"), "BATCHSPAWNER_QUEUE_SLOTS": "4"}
    server = login_host(folder, {"BATCHSPAWNER_SCHEDULER": "local", **queue})
    yield server
    end_all(**queue)
    server.stop()


def login_host(folder, environment):
    """Start an sshd whose sessions have an environment, and write an ssh_config for it."""
    key = make_key(folder / "key")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    calls = {"BATCHSPAWNER_CALL_DIR": str(folder / "calls")}
    server = Sshd(folder / "sshd", key, {"PATH": path, **calls, **environment})
    server.config = folder / "ssh_config"
    server.config.write_text(server.client_entry("login", key))
    return server.start()


@pytest.fixture
def there(login, tmp_path, monkeypatch):
    """Options of an executor on a machine that shares no files with the login host."""
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "laptop"))
    options = ("-F", str(login.config))
    return {"host": "login", "ssh_options": options, "python": sys.executable, "workers": 1}


def test_calls_are_done_behind_the_login_host(there, login):
    with Executor(**there) as executor:
        assert executor.submit(lambda: os.environ["BATCHSPAWNER_QUEUE_DIR"]).result(SECONDS) == str(
            login.folder.parent / "queue"
        )
        assert list(executor.map(tasks.square, range(50), timeout=SECONDS))[-1] == 49 * 49


def test_what_a_shell_start_file_prints_is_no_answer(tmp_path, monkeypatch):
    if unavailable():
        pytest.skip(unavailable())
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "laptop"))
    # The login shell reads it before each command, if it is bash.
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text(
        "echo Welcome to the cluster\necho 3 new messages\nprintf 'Have fun'\n"
    )
    queue = {"BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"), "HOME": str(home)}
    server = login_host(tmp_path, {"BATCHSPAWNER_SCHEDULER": "local", **queue})
    try:
        options = ("-F", str(server.config))
        there = {"host": "login", "ssh_options": options, "python": sys.executable}
        with Executor(**there, workers=1) as executor:
            assert executor.submit(pow, 2, 3).result(SECONDS) == 8
    finally:
        end_all(BATCHSPAWNER_QUEUE_DIR=queue["BATCHSPAWNER_QUEUE_DIR"])
        server.stop()


def test_a_real_cluster_is_reached_from_outside(site, tmp_path, monkeypatch):
    if site.name != "slurm" or unavailable():
        pytest.skip("for a cluster whose jobs may belong to whoever runs the tests")
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "laptop"))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    server = login_host(tmp_path, site.environment)
    try:
        options = ("-F", str(server.config))
        there = {"host": "login", "ssh_options": options, "python": sys.executable}
        with Executor(**there, workers=2, runtime="5m") as executor:
            asked = [executor.submit(os.getenv, "SLURM_ARRAY_TASK_COUNT") for _ in range(20)]
            assert {future.result(SECONDS) for future in asked} == {"2"}
    finally:
        server.stop()


def test_a_function_of_a_file_of_ours_travels_by_value(there, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def name(): return __name__\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(tmp_path)])
    with Executor(**there) as executor:
        assert executor.submit(only_here.name).result(SECONDS) == "only_here"


def test_a_large_result_and_what_is_printed_come_through_the_connection(there):
    with Executor(**there) as executor:
        large = executor.submit(tasks.large, 20_000_000)
        assert len(large.result(SECONDS)) == 20_000_000
        spoken = executor.submit(tasks.speak, "hello")
        assert spoken.result(SECONDS) == "hello"
        wait_for(lambda: "hello" in spoken.log(), SECONDS, "what it has printed")


def test_a_job_that_is_cancelled_there_fails_its_call(there, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Executor(**there) as executor:
        future = executor.submit(tasks.touch_and_wait, str(begun), str(go))
        tasks.wait_for_file(begun)
        future.job.cancel()
        assert type(future.exception(SECONDS)) is JobCancelled


def test_a_connection_that_was_cut_loses_nothing(there, login, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    with Executor(**there) as executor:
        future = executor.submit(tasks.touch_and_wait, str(begun), str(go))
        tasks.wait_for_file(begun)
        login.cut()
        go.touch()
        assert future.result(SECONDS) == str(go)
        assert executor.submit(pow, 2, 3).result(SECONDS) == 8


def test_nothing_is_left_of_the_connection_or_of_the_job(there, login):
    with Executor(**there) as executor:
        future = executor.submit(os.getppid)
        agent = future.result(SECONDS)
    assert called("ssh", os.getpid(), recursive=True) == []
    # Without a driver it would wait for a minute.
    wait_for(lambda: not psutil.pid_exists(agent), 45, "the end of the agent")


def test_a_connection_ends_with_its_program_however_that_ends(there, login):
    code = (
        "import sys, time, batchspawner.functions as f\n"
        f"one = f.Executor(**{there!r})\n"
        "print(one.submit(pow, 2, 3).result(120), flush=True)\ntime.sleep(600)\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "8\n"
        started = called("ssh", program.pid)
        program.kill()
    assert len(started) == 2
    _, alive = psutil.wait_procs(started, SECONDS)
    assert alive == []


def test_a_refused_login_is_reported_at_once(there, login, tmp_path):
    other = make_key(tmp_path / "other")
    config = tmp_path / "config"
    config.write_text(
        login.config.read_text().replace(str(login.folder.parent / "key"), str(other))
    )
    with pytest.raises(ConnectionFailed, match="Permission denied"):
        Executor(**{**there, "ssh_options": ("-F", str(config))})


def test_a_missing_python_is_reported_at_once(there):
    with pytest.raises(ConnectionFailed, match="python9 on login did not start to listen"):
        Executor(**{**there, "python": "python9"})


def test_options_of_ssh_that_are_one_text_are_refused():
    with pytest.raises(TypeError, match="a list of words, not '-J gate'"):
        Executor(host="login", ssh_options="-J gate")


def test_a_resource_that_makes_no_sense_is_told_at_once(there):
    with pytest.raises(OptionsError):
        Executor(**there, runtime="soon")
