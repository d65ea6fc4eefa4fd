"""What pages show besides Python: sessions, templates and files of kernels."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from batchspawner.cli.__main__ import main
from batchspawner.clusters.folders import JobFolder
from batchspawner.kernels.settings import read
from batchspawner.templating import render_script
from tests.client.test_job_scripts import EVERYTHING
from tests.clusters.test_program import CASES
from tests.docs.reading import PROJECT, blocks


def block(page: str, kind: str) -> str:
    """Return the only block of a page in a language, or the first one."""
    return next(text for one, text in blocks(PROJECT / "docs" / f"{page}.md") if one == kind)


def test_the_session_of_the_embedded_queue_prints_what_its_page_says(tmp_path):
    names = ("BATCHSPAWNER_", "XDG_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    env |= {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    parts = re.split(r"^\$ (.*)\n", block("local-queue", "console"), flags=re.MULTILINE)[1:]
    for command, printed in zip(parts[::2], parts[1::2]):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.stdout, done.stderr) == (printed, ""), command


def test_the_template_of_a_site_adds_its_line_to_ours(tmp_path):
    (tmp_path / "slurm.j2").write_text(block("templates", "jinja"))
    variables = {**EVERYTHING, "prologue": "true"}
    theirs = render_script("slurm.j2", variables, [str(tmp_path)]).splitlines()
    ours = render_script("slurm.j2", variables, ()).splitlines()
    assert [line for line in theirs if line not in ours] == ["module load jupyter"]
    assert [line for line in ours if line not in theirs] == []


def test_the_template_of_clusters_adds_its_line_to_ours(tmp_path):
    (tmp_path / "ipcluster.j2").write_text(block("clusters", "jinja"))
    program = CASES["whole"].render(JobFolder(tmp_path), templates=(str(tmp_path),))
    assert "\nmodule load python\n" in program
    assert "export OMP_NUM_THREADS=2\n" in program


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """The folder in which this user's kernels are installed."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    return tmp_path / "kernels"


def test_the_kernel_of_the_page_is_installed_as_it_says(jupyter):
    _, command = block("kernels", "sh").splitlines()
    assert main(shlex.split(command)[1:]) == 0
    spec = json.loads((jupyter / "gpu" / "kernel.json").read_text())
    assert spec["display_name"].endswith("(batch job)")
    assert spec["metadata"]["kernel_provisioner"] == {
        "provisioner_name": "batch-provisioner",
        "config": {"queue": "gpu", "gpus": "1", "memory": "16G", "runtime": "4:00:00"},
    }


def test_the_kernel_json_of_the_page_asks_for_what_it_says(jupyter, capsys):
    folder = jupyter / "own"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(block("kernels", "json"))
    config = json.loads(block("kernels", "json"))["metadata"]["kernel_provisioner"]["config"]
    settings = read(config)
    assert {name: str(value) for name, value in settings.resources.items()} == {
        "queue": "gpu",
        "gpus": "1",
        "runtime": "4:00:00",
    }
    assert main(["kernel", "list"]) == 0
    assert "own" in capsys.readouterr().out
