"""The built part of the extension belongs to its sources, and JupyterLab takes it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import batchspawner.labextension

EXTENSION = Path(batchspawner.labextension.__file__).parent
BUILT = EXTENSION / "share" / "jupyter" / "labextensions" / "batchspawner"


def test_what_is_built_was_built_of_these_sources():
    sources = EXTENSION / "ui"
    names = ["install.json", "package.json", "tsconfig.json", "yarn.lock"]
    for folder in ("schema", "src", "style"):
        names += [f"{folder}/{one.name}" for one in (sources / folder).iterdir()]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\n".encode())
        digest.update((sources / name).read_bytes())
    told = (BUILT / "sources.sha256").read_text().strip()
    assert told == digest.hexdigest(), "the sources have changed: run `make labextension`"


def test_all_built_files_are_there():
    load = json.loads((BUILT / "package.json").read_text())["jupyterlab"]["_build"]["load"]
    assert (BUILT / load).is_file()
    # Of an earlier build, nothing is left.
    assert len(list((BUILT / "static").glob("remoteEntry.*.js"))) == 1


def test_jupyterlab_lists_the_extension_as_enabled(tmp_path, monkeypatch):
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    monkeypatch.setenv("JUPYTER_PATH", str(EXTENSION / "share" / "jupyter"))
    monkeypatch.setenv("HOME", str(tmp_path))
    command = [sys.executable, "-m", "jupyterlab.labextensions", "list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    (line,) = [one for one in (done.stdout + done.stderr).splitlines() if " batchspawner v" in one]
    for word in ("enabled", "OK", "(python, batchspawner)"):
        assert word in line
