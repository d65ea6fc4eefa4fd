"""What docs/functions.md shows works, and names nothing that does not exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import batchspawner.functions

PAGE = (Path(__file__).parents[2] / "docs" / "functions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OWN = {"prepare", "clean_up", "solve", "add"}


def test_the_first_example_runs(queue, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(EXAMPLES[0])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert re.fullmatch(r"solving graph-1\n7\n\S+ JobState\.\w+\n7\n", done.stdout), done.stdout


# What stands in the place of the page's own functions and files.
BEFORE = """from batchspawner.functions import *


@slurmify()
def prepare():
    return "prepared"


@slurmify()
def clean_up():
    return "clean"


@slurmify()
def solve(instance):
    return len(instance)


if __name__ == "__main__":
    instances = ["a", "bb", "ccc"]
"""


def test_the_other_examples_run_one_after_the_other(queue, tmp_path):
    (tmp_path / "Makefile").write_text("all:\n\t@echo made\n")
    (tmp_path / "train.py").write_text("print('trained')\n")
    body = ""
    for example in EXAMPLES[1:]:
        # The login host of the page is this machine; a real one is in test_gateway.py.
        here = example.replace('host="login.example.org", ', "")
        body += f"{here}\n" + "print('--')\n"
    script = tmp_path / "examples.py"
    script.write_text(BEFORE + textwrap.indent(body, "    "))
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    printed = [part.split() for part in done.stdout.split("--\n")]
    assert sorted(printed[3]) == ["1", "2", "3"]
    assert printed[4] == printed[5] == ["[1,", "2,", "3]"]
    assert printed[6] == ["made"]


def test_every_name_that_is_called_exists():
    called = {
        node.func.id
        for example in EXAMPLES
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    known = {*batchspawner.functions.__all__, "print", "list", "len"}
    assert called - known - OWN == set()
