"""What docs/functions.md shows works, and names nothing that does not exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import batchspawner.functions

PAGE = (Path(__file__).parents[2] / "docs" / "functions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OWN = {"prepare", "clean_up", "solve", "add"}


def test_the_first_example_runs(queue, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(EXAMPLES[0])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert re.fullmatch(r"solving graph-1\n7\n\d+ JobState\.\w+\n7\n", done.stdout), done.stdout


def test_every_name_that_is_called_exists():
    called = {
        node.func.id
        for example in EXAMPLES
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    known = {*batchspawner.functions.__all__, "print", "list", "len"}
    assert called - known - OWN == set()
