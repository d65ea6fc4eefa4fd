"""Programs that know nothing of us, and kernels of other languages."""

from __future__ import annotations

import asyncio
import sys

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.hubs import wait_for

from .driving import TIMEOUT_S, eventually, value


async def test_nbclient_executes_a_notebook_in_a_job(jobs, specs, monkeypatch, tmp_path):
    specs("batch")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    (tmp_path / "share").mkdir()
    (tmp_path / "specs").rename(tmp_path / "share" / "kernels")
    code = "import os; print(os.environ['JOB_START_TIME'].isdecimal())"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client = NotebookClient(notebook, kernel_name="batch", timeout=TIMEOUT_S)
    await client.async_execute()
    assert notebook.cells[0].outputs[0].text == "True\n"


async def test_a_kernel_of_another_language_shares_a_job_with_python(started, jobs, tmp_path):
    pytest.importorskip("bash_kernel", reason="bash_kernel is not installed")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    _, python = await started("python", allocation="work")
    manager, bash = await started("bash", allocation="work", kernel_argv=argv)
    assert len(jobs()) == 1
    assert await value(bash, "echo $((6 * 7))") == ("ok", "42\n")
    assert await value(python, "print(6 * 7)") == ("ok", "42\n")
    await manager.restart_kernel()
    assert await value(bash, "x=7; echo $((6 * x))") == ("ok", "42\n")
    started_file = tmp_path / "started"
    sleeps = asyncio.ensure_future(value(bash, f"touch {started_file}; sleep 600"))
    await eventually(started_file.exists)
    await manager.interrupt_kernel()
    assert (await sleeps)[0] != "ok"
    assert await value(bash, "echo $x") == ("ok", "7\n")


def test_a_program_without_an_event_loop_starts_a_kernel(jobs, specs, tmp_path):
    manager = KernelManager(
        kernel_name="batch",
        kernel_spec_manager=specs(),
        connection_file=str(tmp_path / "blocking.json"),
    )
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    reply = client.execute_interactive("x = 7", timeout=TIMEOUT_S)
    client.stop_channels()
    manager.interrupt_kernel()
    manager.shutdown_kernel()
    manager.context.destroy(linger=0)
    assert reply["content"]["status"] == "ok"
    wait_for(lambda: jobs() == [], 20, "the end of the job")


async def test_a_kernel_sees_of_its_server_what_it_is_to_see(started, monkeypatch):
    hidden = ["JUPYTERHUB_API_TOKEN", "JUPYTER_TOKEN", "SLURM_STEP_ID"]
    for name in (*hidden, "DISPLAY", "LICENCE"):
        monkeypatch.setenv(name, "4711")
    _, client = await started(keepvars="DISPLAY")
    code = f"import os; print({{*{hidden}, 'DISPLAY', 'LICENCE'}} & {{*os.environ}} == %s)"
    assert await value(client, code % {"DISPLAY", "LICENCE"}) == ("ok", "True\n")
