"""Cells in a shell of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

import batchspawner.magics
from batchspawner.jobs import JobState
from tests.hubs import wait_for


def interrupt_when(condition) -> threading.Thread:
    """Send Ctrl-C to this process as soon as something is true."""

    def send() -> None:
        wait_for(condition, 20, "the moment to interrupt")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_cell_prints_what_its_script_prints(notebook):
    assert notebook.run("%%execute\necho out\necho error >&2\n") == ("out\n", "error\n")


def test_output_that_does_not_end_its_line_is_followed_by_the_end_of_one(notebook):
    assert notebook.run("%%execute\nprintf hi") == ("hi\n", "")
    assert notebook.run("%%execute\nprintf hi; exit 3") == ("hi\nexit status 3\n", "")


def test_a_cell_reads_nothing_from_its_standard_input(notebook):
    assert notebook.run("%%execute\ncat\necho done") == ("done\n", "")


def test_another_program_than_a_shell_can_read_the_cell(notebook):
    cell = f"%%execute --shell='{os.sys.executable} -I'\nprint(6 * 7)"
    assert notebook.run(cell) == ("42\n", "")


def test_other_options_go_to_the_shell(notebook):
    assert notebook.run("%%execute -e\nfalse\necho never") == ("exit status 1\n", "")


def test_a_signal_that_ended_the_cell_is_named(notebook):
    assert notebook.run("%%execute\nkill -9 $$") == ("ended by SIGKILL\n", "")


def test_a_failed_cell_stops_run_all_only_where_asked(notebook):
    notebook.run("%%execute\nexit 3")
    assert notebook.result.success
    out, err = notebook.run("%%execute --check\nexit 3")
    assert not notebook.result.success
    assert out == "exit status 3\n"
    assert err.startswith("UsageError: job ")
    assert err.endswith(" ended: failed (exit status 3)\n")


def test_output_in_two_streams_keeps_its_order(notebook, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    notebook.run(f"%%execute --bg --amgr=cell\necho 1; cat {pipe} >&2; cat {pipe}")
    cell = notebook["cell"]
    for number in (2, 3):
        wait_for(lambda: cell.log().endswith(f"{number - 1}\n"), 20, "the output")  # noqa: B023
        pipe.write_text(f"{number}\n")
    cell.wait_progress(silent=True)
    assert cell.log() == "1\n2\n3\n"


def test_a_cell_in_the_background_is_read_through_its_variable(notebook, tmp_path):
    release = tmp_path / "release"
    os.mkfifo(release)
    assert notebook.run(f"%%execute --bg --amgr=cell --pid=pid\ncat {release}; echo e >&2") == (
        "",
        "",
    )
    cell = notebook["cell"]
    assert (cell.state, cell.get_output(), cell.finished) == (JobState.RUNNING, (None, None), False)
    assert notebook["pid"] == int(cell.ident)
    release.write_text("o\n")
    cell.wait_progress()
    assert (cell.state, cell.get_output()) == (JobState.COMPLETED, ("o\n", "e\n"))


def test_a_cell_can_be_submitted_again_with_another_text(notebook):
    notebook.run("%%execute --amgr=cell\necho 1")
    cell = notebook["cell"]
    assert cell.submit("echo 2") == ("", "")
    cell.wait_progress(silent=True)
    assert cell.get_output() == ("2\n", "")


def test_a_background_process_does_not_keep_the_cell(notebook):
    begin = time.monotonic()
    out, _ = notebook.run("%%execute\nsleep 600 & echo $!")
    os.kill(int(out), signal.SIGKILL)
    assert time.monotonic() - begin < 300


def test_an_interrupt_ends_the_cell_with_all_its_processes(notebook, tmp_path):
    started = tmp_path / "started"
    thread = interrupt_when(lambda: started.exists() and "cell" in notebook)
    out, err = notebook.run(
        f"%%execute --amgr=cell\nsleep 600 | cat\ntouch {started}".replace(
            "sleep 600", f"touch {started}; sleep 600"
        )
    )
    thread.join()
    assert (out, notebook["cell"].state) == ("cancelled\n", JobState.CANCELLED)
    assert err == (
        "cancelling; interrupt again to end it at once\n"
        f"UsageError: {notebook['cell'].ident} was interrupted\n"
    )
    with pytest.raises(ProcessLookupError):
        os.killpg(int(notebook["cell"].ident), 0)


def test_a_second_interrupt_ends_a_cell_that_does_not_listen(notebook, tmp_path):
    started, asked = tmp_path / "started", tmp_path / "asked"
    body = f"trap 'touch {asked}' INT\ntouch {started}\nwhile true; do sleep 0.05; done"
    threads = [
        interrupt_when(lambda: started.exists() and "cell" in notebook),
        interrupt_when(asked.exists),
    ]
    notebook.run(f"%%execute --amgr=cell\n{body}")
    for thread in threads:
        thread.join()
    assert notebook["cell"].state is JobState.CANCELLED


def test_an_interrupt_between_the_submit_and_the_wait_ends_the_cell(notebook, monkeypatch):
    interrupt = lambda *_: signal.raise_signal(signal.SIGINT)  # noqa: E731
    monkeypatch.setattr("batchspawner.magics.progress.Screen.headline", interrupt)
    _, err = notebook.run("%%execute --amgr=cell\nsleep 600")
    assert notebook["cell"].state is JobState.CANCELLED
    assert err.endswith(f"UsageError: {notebook['cell'].ident} was interrupted\n")


def test_the_log_and_the_list_and_the_cancelling_of_cells(notebook):
    notebook.run("%%execute --bg --amgr=cell\necho hello; sleep 600")
    cell = notebook["cell"]
    wait_for(lambda: cell.log(), 20, "the first output")
    pid = cell.ident
    assert notebook.run(f"%joblog {pid}") == ("hello\n", "")
    width = max(len(pid), 2)
    table = (
        f"{'ID'.ljust(width)}  WHERE         STATE    CELL\n"
        f"{pid.ljust(width)}  this machine  RUNNING  echo hello; sleep 600\n"
    )
    assert notebook.run("%jobs") == (table, "")
    assert notebook.run(f"%jobcancel {pid} --now") == ("", "")
    assert notebook.run(f"%joblog -f {pid}") == ("hello\n", "")
    assert cell.state is JobState.CANCELLED


def test_a_cell_that_nobody_knows_is_named(notebook):
    assert notebook.run("%joblog 7")[1] == (
        "UsageError: there is no cell 7 in this session; %jobs lists them\n"
    )


def test_an_unknown_place_is_named(notebook):
    err = notebook.run("%%execute --wlm=nowhere\ntrue")[1]
    assert err.startswith("UsageError: --wlm: 'nowhere' is not allowed; known are auto, ssh, ")


def test_a_shell_that_is_not_there_is_named(notebook):
    err = notebook.run("%%execute --shell=/no/such/shell\ntrue")[1]
    assert err.startswith("UsageError: /no/such/shell cannot be run on this machine.")


def test_a_profile_sets_defaults(configuration, notebook):
    shell = notebook.shell
    magic = shell.magics_manager.registry["ExecuteMagics"]
    magic.default_shell = os.sys.executable
    assert notebook.run("%%execute\nprint(1)") == ("1\n", "")
    magic.default_args = {"": "-O"}
    assert notebook.run("%%execute\nprint(__debug__)") == ("False\n", "")


def test_a_profile_sets_defaults_in_the_old_way(notebook, monkeypatch):
    monkeypatch.setattr(batchspawner.magics, "_DEFAULT_MGR", "")
    monkeypatch.setattr(batchspawner.magics, "_DEFAULT_LINE_CMD_ARGS", "-e")
    assert notebook.run("%%execute\nfalse\necho no") == ("exit status 1\n", "")


@pytest.mark.parametrize("wlm", ["", "local"])
def test_a_profile_sets_defaults_for_each_place(notebook, monkeypatch, wlm):
    defaults = {"": "--jobid=here", "local": "--jobid=queued"}
    monkeypatch.setattr(batchspawner.magics, "_DEFAULT_MGR", "ssh")
    monkeypatch.setattr(batchspawner.magics, "_DEFAULT_LINE_CMD_ARGS", defaults)
    magic = notebook.shell.magics_manager.registry["ExecuteMagics"]
    assert f"--jobid={magic._options(f'--wlm={wlm!r}').jobid}" == defaults[wlm]
    assert magic._options("").jobid == ""


def test_the_defaults_of_a_scheduler_are_for_auto_too(notebook, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "local")
    magic = notebook.shell.magics_manager.registry["ExecuteMagics"]
    magic.default_args = {"local": "--jobid=queued", "slurm": "--jobid=other"}
    assert magic._options("--wlm=auto").jobid == "queued"
    magic.default_args = {"auto": "--jobid=any", "local": "--jobid=queued"}
    assert magic._options("--wlm=auto").jobid == "any"


def test_the_help_shows_an_example(notebook):
    out, _ = notebook.run("print(get_ipython().find_cell_magic('execute').__doc__)")
    assert "%%execute --wlm=slurm --time=0:10:00 --mem=4G" in out
