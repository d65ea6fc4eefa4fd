"""Scripts of slurminade run unchanged: ``python -m batchspawner.functions.compat script.py``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.functions.tasks import SECONDS

SCRIPT = """
import sys
import slurminade

slurminade.update_default_configuration(partition="alg", exclusive=True)

@slurminade.node_setup
def setup():
    print("on the node")

@slurminade.slurmify(constraint="alggen02")
def solve(instance):
    print("solving", instance, "with", *sys.argv[1:], __debug__)

if __name__ == "__main__":
    first = solve.distribute("graph-1")
    first.log(follow=True)
    bundle = slurminade.JobBundling(max_size=20)
    late = bundle.add(solve, "graph-2")
    if "exit" not in sys.argv:
        bundle.flush()
        slurminade.shell.wait_for(late).distribute_and_wait("echo done")
"""


@pytest.fixture
def run(queue, tmp_path):
    def run(*argv, flags=(), **environment):
        (tmp_path / "script.py").write_text(SCRIPT)
        command = [sys.executable, *flags, "-m", "batchspawner.functions.compat", *argv]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=tmp_path,
            env={**os.environ, "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"), **environment},
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


@pytest.mark.parametrize("argv", [("script.py",), ("-m", "script")], ids=["script", "module"])
def test_an_old_script_runs_unchanged(run, argv):
    code, out, errors = run(*argv, "fast")
    assert (code, errors) == (0, "")
    assert out == ["on the node", "solving graph-1 with fast True", "done"]


def test_python_options_and_the_import_path_of_the_user_stay(run, tmp_path):
    (tmp_path / "more").mkdir()
    code, out, _ = run("script.py", "exit", flags=["-O"], PYTHONPATH=str(tmp_path / "more"))
    assert (code, out[-1]) == (0, "solving graph-1 with exit False")


def test_a_bundle_that_is_left_is_submitted_when_the_program_ends(run, tmp_path):
    code, _, errors = run("script.py", "exit", BATCHSPAWNER_SCHEDULER="local")
    assert (code, errors) == (0, "")
    folders = sorted((tmp_path / "calls" / "functions").iterdir())
    assert len(folders) == 2


def test_without_a_script_the_usage_is_printed(run):
    assert run() == (
        1,
        [],
        "usage: python -m batchspawner.functions.compat SCRIPT [ARGUMENT ...]\n",
    )
