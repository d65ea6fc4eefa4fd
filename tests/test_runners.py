from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from batchspawner import processes
from batchspawner.errors import CommandNotFound, SchedulerUnavailable
from batchspawner.processes import begin, begin_dialogue, run_shell, tool_environment
from batchspawner.runners import LocalRunner, SshRunner
from tests.hubs import wait_for
from tests.processes import runs

local = LocalRunner()


async def test_a_command_gets_its_words_input_and_environment_as_they_are():
    script = "import os, sys; print(sys.argv[1:], sys.stdin.read(), os.environ['A'])"
    result = await local.run(
        (sys.executable, "-c", script, "a b", "$HOME", ";"), input="in", environment={"A": "ä\n"}
    )
    assert result.stdout == "['a b', '$HOME', ';'] in ä\n\n"


async def test_the_exit_status_and_the_errors_are_told():
    result = await local.run(("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (result.returncode, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert result.describe() == "$ sh -c 'echo out; echo err >&2; exit 3'\nerr\nout\n[exit 3]"


async def test_a_prefix_goes_before_the_command():
    result = await LocalRunner(("env", "A=1")).run(("sh", "-c", "echo $A"))
    assert result.stdout == "1\n"


async def test_a_command_of_another_user_does_not_run_in_our_folder():
    assert (await local.run(("pwd",))).stdout.strip() == os.getcwd()
    assert (await LocalRunner(("env",)).run(("pwd",))).stdout == "/\n"


async def test_nothing_of_our_environment_reaches_a_command_by_itself(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "crypt-key-of-the-hub")
    result = await local.run(("env",))
    assert "crypt-key-of-the-hub" not in result.stdout
    assert "PATH=" in result.stdout


def test_the_tools_get_the_variables_that_they_need(monkeypatch):
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("SLURM_CONF", "/etc/s.conf")
    monkeypatch.setenv("SLURMY", "no")
    monkeypatch.setenv("KRB5_X", "k")
    assert tool_environment(("SLURM_CONF", "KRB5*"), {"B": "2"}) == {
        "PATH": f"/bin:{Path(sys.executable).parent}",
        "SLURM_CONF": "/etc/s.conf",
        "KRB5_X": "k",
        "B": "2",
    }


async def test_a_command_that_is_not_there_is_named():
    with pytest.raises(CommandNotFound, match="no-such-command cannot be run on this machine"):
        await local.run(("no-such-command",))


@pytest.mark.parametrize("runner", [LocalRunner, SshRunner])
async def test_a_command_that_sudo_does_not_find_is_named_with_its_cure(tmp_path, runner):
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: qsub: command not found' >&2\nexit 1\n")
    sudo.chmod(0o755)
    with pytest.raises(
        CommandNotFound, match=r"sudo does not find qsub: .* secure_path in sudoers"
    ):
        await runner((str(sudo),)).run(["qsub"])


async def test_a_frozen_command_is_ended_with_all_its_children(tmp_path):
    pid_file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid_file}; wait"
    start = time.monotonic()
    with pytest.raises(SchedulerUnavailable, match="no answer after 3 s"):
        await local.run(("sh", "-c", script), timeout=3)
    assert time.monotonic() - start < 300
    wait_for(lambda: not runs(int(pid_file.read_text())), 5, "the end of the child")


async def test_a_cancelled_command_does_not_live_on(tmp_path):
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}; exec sleep 60"
    task = asyncio.ensure_future(local.run(("sh", "-c", script)))
    while not (pid_file.exists() and pid_file.read_text()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wait_for(lambda: not runs(int(pid_file.read_text())), 5, "the end of the command")


async def test_a_command_that_never_stops_printing_is_ended(monkeypatch):
    monkeypatch.setattr(processes, "MAX_OUTPUT_BYTES", 1000)
    with pytest.raises(SchedulerUnavailable, match="printed more than 1000 bytes"):
        await local.run(("yes",), timeout=20)


async def test_bytes_that_are_no_text_do_not_break_the_reading():
    result = await local.run(("printf", r"a\377b"))
    assert result.stdout == "a�b"


async def test_a_command_that_does_not_read_its_input_is_no_error():
    result = await local.run(("true",), input="x" * 1_000_000)
    assert result.returncode == 0


async def test_over_ssh_each_word_arrives_as_one_word(tmp_path):
    # A stand-in that does what sshd does with the words: it gives them to a shell.
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    ssh.chmod(0o755)
    runner = SshRunner((str(ssh), "login"), ("env", "A=x y"))
    result = await runner.run(("sh", "-c", 'echo "$A" "$1"', "-", "%T %B; false"))
    assert result.stdout == "x y %T %B; false\n"


async def test_over_ssh_what_the_login_shell_prints_first_is_left_out_if_asked(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "Welcome\\nHave fun"\nshift\nexec sh -c "$*"\n')
    ssh.chmod(0o755)
    argv = ("sh", "-c", 'cat; exit "$1"', "-", "3")
    results = [
        await SshRunner((str(ssh), "login"), marks=marks).run(argv, input="answer\n")
        for marks in (False, True)
    ]
    assert [(one.stdout, one.returncode) for one in results] == [
        ("Welcome\nHave funanswer\n", 3),
        ("answer\n", 3),
    ]


async def test_a_connection_that_is_gone_says_nothing_about_the_command(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "Connection closed by UNKNOWN port 65535" >&2\nexit 255\n')
    ssh.chmod(0o755)
    with pytest.raises(SchedulerUnavailable, match="ssh has no connection"):
        await SshRunner((str(ssh), "login")).run(("qsub",))


async def test_a_command_may_itself_end_with_the_exit_status_of_ssh(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "Job has already finished" >&2\nexit 255\n')
    ssh.chmod(0o755)
    assert (await SshRunner((str(ssh), "login")).run(("bkill", "1"))).returncode == 255


async def test_a_shell_string_of_the_administrator_runs_as_it_is():
    result = await run_shell("cat | tr a b && echo $((1+1))", input="a\n")
    assert result.stdout == "b\n2\n"
    assert result.argv == ("cat | tr a b && echo $((1+1))",)


SLEEP = ("sleep", "60")
STARTS = {
    "a command": lambda: local.run(SLEEP, input="x"),
    "a program to talk with": lambda: begin_dialogue(SLEEP),
    "a command that stays": lambda: begin(SLEEP, environment=dict(os.environ)),
}


# What asyncio gives up, Python closes: pipes, and the record of a process that was killed.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("start", STARTS)
def test_a_command_that_is_just_starting_ends_with_all_tasks_of_the_hub(start):
    asyncio.run(cancelled_while_starting(STARTS[start]))
    # Until Python 3.11, a thread of asyncio that waits for the process has them as well.
    for thread in threading.enumerate():
        if thread.name.startswith("waitpid-"):
            thread.join()
    gc.collect()


async def cancelled_while_starting(start):
    command = asyncio.ensure_future(start())
    others = {asyncio.current_task()}
    while not any("_connect_pipes" in repr(task) for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - others
    for task in tasks:
        task.cancel()
    done, pending = await asyncio.wait(tasks, timeout=30)
    assert not pending
    assert command in done
    assert command.cancelled()
