"""Every example of docs/clusters.md runs, as the cells of one notebook."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
# The page's job and host: a cluster of the test, through its sshd.
BEFORE_CONNECT = """
import functools
from batchspawner import clusters
clusters.connect = functools.partial(clusters.connect, options={options!r})
job_id = {job_id!r}
"""


def cells(part):
    """Return the Python of a part of the page, a cell for each block."""
    blocks = re.findall(r"^```i?python\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    return [block.rstrip("\n") for block in blocks]


ON_SITE, ON_LAPTOP = map(cells, PAGE.read_text().split("## From a laptop"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run cells in a new notebook; return what each has printed."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    spec = tmp_path / "share" / "kernels" / "here"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "here", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))

    def run_cells(texts):
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, texts)))
        client = nbclient.NotebookClient(notebook, kernel_name="here", timeout=120)
        client.execute(cwd=str(tmp_path))
        return ["".join(map(_printed, cell.outputs)) for cell in notebook.cells]

    return run_cells


def _printed(output):
    """Return what an output shows, other than by stderr."""
    if output.output_type == "stream":
        return output.text if output.name == "stdout" else ""
    return f"{output.get('data', {}).get('text/plain', '')}\n"


@pytest.fixture
def mpi_for_root(place, monkeypatch):
    """Allow mpiexec to run as root if the tests do."""
    pytest.importorskip("mpi4py")
    real = shutil.which("mpiexec")
    if not real:
        pytest.skip("no mpiexec (on Debian: apt-get install openmpi-bin)")
    folder = place.folder / "bin"
    folder.mkdir()
    (folder / "mpiexec").write_text(
        f'#!/bin/sh\nOMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 exec {real} "$@"\n'
    )
    (folder / "mpiexec").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_examples_on_a_site_run(place, run, mpi_for_root):
    printed = dict(zip(ON_SITE, run(ON_SITE)))
    said = [printed[text].splitlines() for text in ON_SITE if "with " in text]
    expected = ("[3, 3]", "[5, 5]", "45", "[2, 2]")
    assert [line in lines for line, lines in zip(expected, said)] == [True] * 4
    assert (place.jobs(), place.left()) == ({}, [])


def test_the_examples_on_a_laptop_run(remote_site, laptop, run):
    before = BEFORE_CONNECT.format(options=remote_site.options, job_id=remote_site.cluster.job_id)
    texts = [text.replace('"daint"', '"login"') for text in ON_LAPTOP]
    _, first, _, everywhere, _ = run([before, *texts])
    assert (first, sorted(everywhere.split("\n"))[-2:]) == (
        "[1, 1] [2, 2]\n",
        ["[stdout:0] x is 1", "[stdout:1] x is 1"],
    )
