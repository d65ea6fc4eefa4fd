"""Cells over ssh, to a real sshd."""

from __future__ import annotations

import os
import re
import subprocess

import psutil
import pytest

from batchspawner.jobs import JobState
from batchspawner.magics.backends.ssh import SshBackend
from tests import sshd
from tests.hubs import wait_for
from tests.magics.test_shell import interrupt_when
from tests.processes import runs

pytestmark = pytest.mark.skipif(bool(sshd.unavailable()), reason=sshd.unavailable())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = sshd.Host(tmp_path_factory.mktemp("ssh") / "d").start()
    yield one
    one.stop()


@pytest.fixture
def ssh(server, monkeypatch):
    """The beginning of a line; the output comes below the end line, however slow the machine is."""
    monkeypatch.setattr("batchspawner.magics.progress.OUTPUT_DELAY_S", 600)
    return f"%%execute --workloadmanager=ssh --host=there -F {server.config}"


def written(file) -> bool:
    """Return whether a file has a whole line."""
    return file.exists() and file.read_text().endswith("\n")


def lines(out: str) -> list[str]:
    """Return what a cell printed, as if it had run for less than two seconds."""
    return re.sub(r"^Running [.oO]+$", "Running .", out, flags=re.MULTILINE).splitlines()


def test_the_transcript_reads_as_ever(notebook, ssh):
    out, err = notebook.run(f"{ssh} --pid=pid\necho Hello")
    begin = f"SSH started with pid: {notebook['pid']}"
    assert (lines(out), err) == ([begin, "Running .", "Done", "Hello"], "")


def test_the_exit_status_of_the_cell_is_told(notebook, ssh):
    out, _ = notebook.run(f"{ssh}\nexit 3")
    assert lines(out)[1:] == ["Running .", "Done: exit status 3"]


def test_the_signal_that_ended_the_cell_is_told(notebook, ssh):
    out, err = notebook.run(f"{ssh}\nkill -9 $$")
    assert err == ""
    assert lines(out)[1:] == ["Running .", "Done: ended by SIGKILL"]


def test_both_streams_arrive(notebook, ssh):
    notebook.run(f"{ssh} --amgr=cell\necho out; echo error >&2")
    assert notebook["cell"].get_output() == ("out\n", "error\n")


def test_a_large_cell_does_not_read_itself(notebook, ssh):
    comment = "# " + "x" * 200_000
    notebook.run(f"{ssh} --amgr=cell\n{comment}\ncat\necho done")
    assert notebook["cell"].get_output() == ("done\n", "")


def test_another_shell_reads_the_cell(notebook, ssh):
    notebook.run(f"{ssh} --amgr=cell --shell='{os.sys.executable} -I'\nprint(6 * 7)")
    assert notebook["cell"].get_output() == ("42\n", "")


def test_a_cell_in_python_runs_over_there(notebook, ssh):
    notebook.run("numbers = [1, 2]")
    line = f"{ssh} --python --in numbers --out total"
    out, err = notebook.run(f"{line}\ntotal = sum(numbers)\nprint('over there')")
    assert (lines(out)[1:], err) == (["Running .", "Done", "over there"], "")
    assert notebook["total"] == 3


def test_a_key_that_is_refused_is_an_error_and_no_question(notebook, server):
    line = f"%%execute --wlm=ssh --host=locked -F {server.config}"
    _, err = notebook.run(f"{line}\ntrue")
    assert "Permission denied" in err
    assert err.splitlines()[-1] == (
        "UsageError: ssh could not run anything on locked (exit status 255). It must get in "
        "without asking for a password: try `ssh -o BatchMode=yes locked true`."
    )


def test_an_interrupt_ends_the_processes_over_there(notebook, ssh, tmp_path):
    file = tmp_path / "pid"
    thread = interrupt_when(lambda: "cell" in notebook and written(file))
    notebook.run(f"{ssh} --amgr=cell\nsleep 600 & echo $! > {file}; sleep 600; echo never")
    thread.join()
    assert (notebook["cell"].state, notebook["cell"].log()) == (JobState.CANCELLED, "")
    # Its background, too, which a shell without a terminal protects from Ctrl-C.
    wait_for(lambda: not runs(file.read_text().strip()), 20, "the end of the background")


def test_the_end_of_the_connection_is_the_end_of_the_cell(notebook, ssh, tmp_path):
    file = tmp_path / "pid"
    notebook.run(f"{ssh} --bg --amgr=cell\necho $$ > {file}; sleep 600")
    wait_for(lambda: written(file), 20, "the cell")
    pid = file.read_text().strip()
    os.kill(int(notebook["cell"].ident), 9)
    wait_for(lambda: not runs(pid), 20, "the end of the cell over there")


def test_a_cell_whose_network_has_gone_away_ends(notebook, ssh, tmp_path):
    file = tmp_path / "pid"
    line = f"{ssh} -o ServerAliveInterval=1 -o ServerAliveCountMax=1 --bg --amgr=cell"
    notebook.run(f"{line}\necho $$ > {file}; sleep 600")
    wait_for(lambda: written(file), 20, "the cell")
    sshds = [one for one in psutil.Process(int(file.read_text())).parents() if "sshd" in one.name()]
    sshds[0].suspend()
    notebook["cell"].wait_progress(silent=True)
    sshds[0].resume()
    assert (notebook["cell"].state, notebook["cell"].status.exit_code) == (JobState.FAILED, 255)
    assert "not responding" in notebook["cell"].log()


def test_the_line_may_set_the_timeout_of_a_silent_network():
    given = SshBackend("there", "/bin/sh", ("-o", "ServerAliveInterval=2")).argv
    options = subprocess.run(["ssh", "-G", *given[1:]], capture_output=True, text=True).stdout
    assert {"serveraliveinterval 2", "serveralivecountmax 4"} <= set(options.splitlines())


def test_a_second_interrupt_ends_a_cell_that_does_not_listen(notebook, ssh, tmp_path):
    started, asked = tmp_path / "started", tmp_path / "asked"
    body = f"trap 'touch {asked}' INT\necho $$ > {started}\nwhile true; do sleep 0.05; done"
    threads = [
        interrupt_when(lambda: "cell" in notebook and written(started)),
        interrupt_when(asked.exists),
    ]
    notebook.run(f"{ssh} --amgr=cell\n{body}")
    for thread in threads:
        thread.join()
    assert notebook["cell"].state is JobState.CANCELLED
    pid = started.read_text().strip()
    wait_for(lambda: not runs(pid), 20, "the end of the cell over there")
