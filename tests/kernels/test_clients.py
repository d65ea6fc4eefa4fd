"""Programs that know nothing of us, and kernels of other languages."""

from __future__ import annotations

import sys

import nbformat
import pytest
from nbclient import NotebookClient

from .driving import value


async def test_nbclient_executes_a_notebook_in_a_job(jobs, specs, monkeypatch, tmp_path):
    specs("batch")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    (tmp_path / "share").mkdir()
    (tmp_path / "specs").rename(tmp_path / "share" / "kernels")
    code = "import os; print(os.environ['JOB_START_TIME'].isdecimal())"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client = NotebookClient(notebook, kernel_name="batch", timeout=60)
    await client.async_execute()
    assert notebook.cells[0].outputs[0].text == "True\n"


async def test_a_kernel_of_another_language_shares_a_job_with_python(started, jobs):
    pytest.importorskip("bash_kernel", reason="bash_kernel is not installed")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    _, python = await started("python", allocation="work")
    manager, bash = await started("bash", allocation="work", kernel_argv=argv)
    assert len(jobs()) == 1
    assert await value(bash, "echo $((6 * 7))") == ("ok", "42\n")
    assert await value(python, "print(6 * 7)") == ("ok", "42\n")
    await manager.restart_kernel()
    assert await value(bash, "echo $((6 * 7))") == ("ok", "42\n")
