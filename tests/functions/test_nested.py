"""Scripts that jobs load: what they may do there, and what would never end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.functions.tasks import SECONDS


@pytest.fixture
def run(queue, tmp_path):
    """Run a script; return what it prints, and the last line of its errors."""

    def run(text):
        script = tmp_path / "script.py"
        script.write_text(f"from batchspawner.functions import *\n{text}")
        argv = [sys.executable, str(script)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS)
        return done.stdout, done.stderr.rpartition("Error: ")[2]

    return run


@pytest.mark.parametrize("scheduler", ["processes", "local"])
def test_an_executor_that_the_loading_of_a_script_would_make_is_refused(run, scheduler):
    out, error = run(
        "@slurmify\n"
        "def square(n): return n * n\n"
        f"with Executor({scheduler!r}, workers=1) as one: print(*one.map(square, range(3)))\n"
    )
    assert out == ""
    assert error == (
        "an Executor was to be made while a worker loads the script, which has to find its "
        "functions only: put what the script does under if __name__ == '__main__':\n"
    )


OUTER = """
def square(n): return n * n
@slurmify
def squares(scheduler):
    with Executor(scheduler, workers=1) as one: return list(one.map(square, range(3)))
"""


def test_a_job_may_have_processes_for_any_function_of_its_script(run):
    program = "if __name__ == '__main__': print(*squares.distribute('processes').result(120))\n"
    assert run(OUTER + program) == ("0 1 4\n", "")


def test_a_job_has_workers_in_jobs_only_when_it_is_meant(run):
    program = "if __name__ == '__main__': print(*squares.distribute('local').result(120))\n"
    assert run(OUTER + program)[1].startswith("an Executor was to be made from within a job.")
    assert run(f"allow_recursive_distribution()\n{OUTER}{program}") == ("0 1 4\n", "")


def test_a_node_is_set_up_before_the_calls_and_nothing_else_is(run):
    out, error = run(
        "@node_setup\n"
        "def prepare(): print('prepared')\n"
        "@slurmify\n"
        "def call(): print('called')\n"
        "if __name__ == '__main__':\n"
        "    print('program')\n"
        "    future = call.distribute()\n"
        "    future.result(120)\n"
        "    print(future.log().split())\n"
    )
    assert (out, error) == ("program\n['prepared', 'called']\n", "")


def test_an_interpreter_can_name_the_script_that_has_its_functions(queue, tmp_path):
    script = tmp_path / "functions.py"
    script.write_text("def place(): return 'script'\n")
    code = (
        "from batchspawner.functions import *\n"
        "@slurmify\n"
        "def place(): return 'interpreter'\n"
        "print(place.distribute().result(120))\n"
        f"set_entry_point({str(script)!r})\n"
        "print(place.distribute().result(120))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("interpreter\nscript\n", "")
