"""What is seen of calls that fail, and of what they print, though nobody asks for a result."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.functions.tasks import SECONDS

HEAD = """
import concurrent.futures
import batchspawner.client.job_scripts as scripts
from batchspawner.functions import *

@slurmify
def divide(n):
    print("dividing by", n)
    return 1 / n
"""


@pytest.fixture
def run(queue, tmp_path):
    """Run a program, here or on a machine without a scheduler; return its end, without ids."""

    def run(text, *, alone=False):
        none = "scripts._detections = lambda: []\n" if alone else ""
        main = "if __name__ == '__main__':\n    "
        program = HEAD + none + main + text.replace("\n", "\n    ")
        (tmp_path / "program.py").write_text(program)
        environment = {**os.environ}
        if alone:
            del environment["BATCHSPAWNER_SCHEDULER"]
        argv = [sys.executable, str(tmp_path / "program.py")]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=SECONDS, env=environment
        )
        errors = re.sub(r"(job|log) [^\s:)]+", r"\1 N", done.stderr)
        return done.returncode, done.stdout.splitlines(), errors.splitlines()

    return run


TOLD = "  job N: ZeroDivisionError: division by zero (batchspawner jobs log N)"


def test_the_end_of_a_program_counts_failures_that_nobody_asked_for(run):
    code, out, errors = run(
        "futures = [divide.distribute(n) for n in (0, 1)]\n"
        "with JobBundling(max_size=2): futures += [divide.distribute(0), divide.distribute(2)]\n"
        "_ = concurrent.futures.wait(futures)"
    )
    assert (code, out) == (0, [])
    assert errors == ["2 calls have failed, and nobody asked for the result:", TOLD, TOLD]


@pytest.mark.parametrize(
    "question",
    [
        "future.exception()",
        "future.add_done_callback(print)",
        "after.result()",
    ],
)
def test_a_failure_that_somebody_asks_for_is_not_counted(run, question):
    _, _, errors = run(
        "with JobBundling(max_size=1) as bundle: future = divide.distribute(0)\n"
        "(after,) = bundle.get_all_jobs()\n"
        f"try: {question}\n"
        "except ZeroDivisionError: pass\n"
        "_ = concurrent.futures.wait([future])"
    )
    assert errors == []


def test_the_traceback_of_a_failed_call_is_in_the_log_of_its_job(run):
    _, out, errors = run(
        "future = divide.distribute(0)\n_ = future.exception()\nprint(future.log())"
    )
    assert out[:2] == ["dividing by 0", "Traceback (most recent call last):"]
    assert out[-2] == "ZeroDivisionError: division by zero"
    assert errors == []


def test_without_a_scheduler_a_program_shows_the_output_and_fails_with_its_calls(run):
    code, out, errors = run("divide.distribute(2)\ndivide.distribute(0)", alone=True)
    assert code == 1
    assert out[:3] == ["dividing by 2", "dividing by 0", "Traceback (most recent call last):"]
    assert errors == ["1 call has failed, and nobody asked for the result:", TOLD]


OWN_ENDS = {
    "sys.exit": ("sys.exit(3)", 3),
    "SystemExit": ("raise SystemExit(4)", 4),
    "exit hook": ("atexit.register(os._exit, 5)", 5),
    "success": ("sys.exit(0)", 1),
    "exception": ("raise ValueError", 1),
    "signal": ("raise KeyboardInterrupt", -signal.SIGINT),
    "exit hooks": ("atexit.register(print, 'once')", 1),
}


@pytest.mark.parametrize(("last", "status"), OWN_ENDS.values(), ids=OWN_ENDS)
def test_without_a_scheduler_a_program_that_fails_keeps_its_own_status(run, last, status):
    program = f"import atexit, os, sys\ndivide.distribute(0)\n{last}"
    code, out, errors = run(program, alone=True)
    assert (code, errors[-2:]) == (
        status,
        ["1 call has failed, and nobody asked for the result:", TOLD],
    )
    assert out.count("once") == (last == "atexit.register(print, 'once')")


def test_without_a_scheduler_output_that_the_program_has_read_is_not_shown_again(run):
    program = "future = divide.distribute(2)\nfuture.result()\nprint([future.log()])"
    assert run(program, alone=True) == (0, ["['dividing by 2\\n']"], [])
