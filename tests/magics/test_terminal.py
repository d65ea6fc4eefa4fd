"""Cells in IPython in a terminal, as a person has it, with the profile of that person."""

from __future__ import annotations

import os
import re
import sys

import pexpect
import pytest

from tests.sites import LocalSite

TIMEOUT_S = 60
MORE = "   ...: "
PROMPT = r"In \[\d+\]: "


@pytest.fixture
def profile(tmp_path):
    folder = tmp_path / "ipython" / "profile_default"
    folder.mkdir(parents=True)
    return folder / "ipython_config.py"


@pytest.fixture
def terminal(profile, tmp_path):
    site = LocalSite(tmp_path)
    site.start()
    settings = {
        **site.environment,
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"),
        "TERM": "xterm",
    }
    opened = []

    def open_one() -> pexpect.spawn:
        argv = ["-m", "IPython", "--simple-prompt", "--colors=nocolor", "--no-banner"]
        child = pexpect.spawn(
            sys.executable,
            argv,
            env={**os.environ, **settings},
            timeout=TIMEOUT_S,
            encoding="utf-8",
            dimensions=(24, 200),
            echo=False,
        )
        opened.append(child)
        child.expect(PROMPT)
        return child

    yield open_one
    for child in opened:
        child.close(force=True)
    site.stop()


def enter(child, *lines: str) -> None:
    """Type a cell and the empty lines that end it."""
    for line in lines:
        child.sendline(line)
        if len(lines) > 1:
            child.expect_exact(MORE)
    if len(lines) > 1:
        child.sendline("")
        child.sendline("")


def run(child, *lines: str) -> str:
    """Run a cell, and return what it printed, as the terminal got it."""
    enter(child, *lines)
    child.expect(PROMPT)
    return child.before.replace("\r\n", "\n").replace(MORE, "")


def test_a_profile_sets_defaults(profile, terminal):
    profile.write_text(
        'c.InteractiveShellApp.extensions = ["batchspawner.magics"]\n'
        'c.ExecuteMagics.default_wlm = "local"\n'
        'c.ExecuteMagics.default_args = {"local": "--jobid=mine"}\n'
    )
    child = terminal()
    assert run(child, "%%execute", "true").startswith("Submitted batch job 1\n")
    assert run(child, "print(mine)") == "1\n\n"


def test_a_profile_sets_defaults_in_the_old_way(profile, terminal):
    profile.write_text(
        "c.InteractiveShellApp.exec_lines = [\n"
        '    "%load_ext batchspawner.magics",\n'
        '    "import batchspawner.magics as m",\n'
        "    \"m._DEFAULT_MGR = 'local'\",\n"
        "    \"m._DEFAULT_LINE_CMD_ARGS = '--jobid=mine'\",\n"
        "]\n"
    )
    child = terminal()
    assert run(child, "%%execute", "true").startswith("Submitted batch job 1\n")
    assert run(child, "print(mine)") == "1\n\n"


def test_the_progress_line_is_rewritten_in_place(terminal):
    child = terminal()
    run(child, "%load_ext batchspawner.magics")
    printed = run(child, "%%execute --wlm=local", "sleep 1.2")
    lines = printed.split("\n")
    assert lines[0].endswith("Submitted batch job 1")
    versions = lines[1].split("\r\x1b[K")
    assert re.fullmatch(r"Running [.o]+ 0:00:\d\d on \S+", versions[-3])
    assert re.fullmatch(r"Running [.o]+", versions[-1])
    assert lines[2] == "End batch job 1 Status:  COMPLETED"


def test_ctrl_c_cancels_the_job(terminal):
    child = terminal()
    run(child, "%load_ext batchspawner.magics")
    enter(child, "%%execute --wlm=local", "echo started; sleep 600")
    child.expect("started")
    child.sendintr()
    child.expect("cancelling; interrupt again to end it at once")
    child.expect("End batch job 1 Status:  CANCELLED")
    child.expect("UsageError: 1 was interrupted")
