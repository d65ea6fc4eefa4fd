"""The functions on docs/for-users.md and docs/containers-and-gpus.md; a stub enters the image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batchspawner.functions import BatchDispatcher, set_dispatcher, slurmify

DOCS = Path(__file__).parents[2] / "docs"

# It runs the command of the image on this machine, if the options are those of the page. It is not
# in the image itself, and there it sets the variable as Apptainer does.
STUB = f"""#!/bin/sh
[ -z "$APPTAINER_CONTAINER" ] || {{ echo "apptainer: not found" >&2; exit 127; }}
export APPTAINER_CONTAINER="$3"
[ "$1 $2 $4" = "exec --nv python3" ] || exit 64
echo "$3" >> "$HOME/entered"
shift 4
exec {sys.executable} "$@"
"""


def blocks(page: str, kind: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"(?m)^```{kind}\n(.*?)^```$", text, re.DOTALL)


def printed_by(script: str, folder: Path) -> str:
    """Return what a script prints, which runs as a user would run it."""
    file = folder / "script.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file)], cwd=folder, capture_output=True, text=True, timeout=540
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def image(tmp_path, monkeypatch) -> str:
    """Make the program of the page in a home with a stub of Apptainer, and return the image."""
    (block,) = (one for one in blocks("containers-and-gpus", "sh") if "apptainer" in one)
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "apptainer"
    stub.write_text(STUB)
    stub.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    subprocess.run(["bash", "-e"], input=block, text=True, check=True, timeout=60)
    return str(tmp_path / "images" / "pytorch.sif")


def entered(home: Path) -> set[str]:
    """Return the images that were entered."""
    return set((home / "entered").read_text().split())


def test_the_workers_of_the_page_run_in_the_image(queue, image, tmp_path):
    (script,) = (one for one in blocks("containers-and-gpus", "python") if "Executor" in one)
    assert printed_by(script.replace("workers=4", "workers=1"), tmp_path) == "[3, 5]\n"
    assert entered(tmp_path) == {image}


def test_the_calls_of_a_decorated_function_run_in_the_image(queue, image, tmp_path):
    set_dispatcher(BatchDispatcher("local", python=str(tmp_path / "bin" / "python-in-image")))
    try:
        assert slurmify(runtime="5m")(os.path.basename).distribute("/a/b").result(540) == "b"
    finally:
        set_dispatcher(None)
    assert entered(tmp_path) == {image}


def test_the_function_of_the_page_for_users_runs(queue, tmp_path):
    (script,) = blocks("for-users", "python")
    few = script.replace("workers=8", "workers=1").replace("1000", "10")
    assert printed_by(few, tmp_path) == "285\n"
