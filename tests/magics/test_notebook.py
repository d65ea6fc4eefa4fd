"""Cells in a real notebook, whose kernel is a process of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.sites import LocalSite

DOCS = Path(__file__).parents[2] / "docs"
TIMEOUT_S = 60


class Manager(AsyncKernelManager):
    """Start a kernel of the Python that runs the tests."""

    def format_kernel_cmd(self, extra_arguments=None):
        return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]


@pytest.fixture
def queue(tmp_path, monkeypatch):
    site = LocalSite(tmp_path)
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "local")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    site.start()
    yield site
    site.stop()


class Run:
    """Run a notebook, and look at what it shows meanwhile."""

    def __init__(self, *cells: str) -> None:
        first = nbformat.v4.new_code_cell("%load_ext batchspawner.magics")
        rest = [nbformat.v4.new_code_cell(cell) for cell in cells]
        self.notebook = nbformat.v4.new_notebook(cells=[first, *rest])
        self.client = NotebookClient(
            self.notebook, kernel_manager_class=Manager, timeout=TIMEOUT_S, allow_errors=True
        )

    async def __aenter__(self) -> Run:
        self.task = asyncio.ensure_future(self.client.async_execute())
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.task

    def texts(self, number: int = 1) -> list[str]:
        """Return what stands below a cell: each output as text."""
        outputs = self.notebook.cells[number].outputs
        return [one.text if "text" in one else one.data["text/plain"] for one in outputs]

    async def until(self, number: int, wanted) -> None:
        """Wait until a cell shows something."""
        end = asyncio.get_running_loop().time() + TIMEOUT_S
        while not wanted(self.texts(number)):
            assert asyncio.get_running_loop().time() < end, self.texts(number)
            await asyncio.sleep(0.05)


def until_released(folder: Path) -> tuple[Path, str]:
    release = folder / "release"
    return release, f"until [ -e {release} ]; do sleep 0.05; done"


async def test_output_appears_below_the_cell_while_the_job_runs(queue, tmp_path):
    release, wait = until_released(tmp_path)
    async with Run(f"%%execute --wlm=local\necho first\n{wait}\necho second >&2") as run:
        await run.until(1, lambda texts: texts[1:] == ["first\n"])
        release.touch()
    _, first, second = run.notebook.cells[1].outputs
    assert [(one.name, one.text) for one in (first, second)] == [
        ("stdout", "first\n"),
        ("stderr", "second\n"),
    ]


async def test_the_progress_is_one_output_that_changes(queue, tmp_path):
    release, wait = until_released(tmp_path)
    async with Run(f"%%execute --wlm=local\n{wait}") as run:
        await run.until(1, lambda texts: "Running .." in "".join(texts))
        assert len(run.texts()) == 1
        release.touch()
    (end,) = run.texts()
    head, progress, last = end.splitlines()
    assert (head, progress.strip("."), last) == (
        "Submitted batch job 1",
        "Running ",
        "End batch job 1 Status:  COMPLETED",
    )


async def test_interrupting_the_kernel_cancels_the_job(queue, tmp_path):
    cell = "%%execute --wlm=local\necho started; sleep 600"
    async with Run(cell, "print('next')") as run:
        await run.until(1, lambda texts: texts[1:2] == ["started\n"])
        await run.client.km.interrupt_kernel()
    end = run.texts()[0].splitlines()
    assert end[2] == "End batch job 1 Status:  CANCELLED"
    assert queue.jobs() == []


async def test_a_cell_in_the_background_lets_the_next_one_run(queue, tmp_path):
    release, wait = until_released(tmp_path)
    cells = [
        f"%%execute --wlm=local --bg --amgr=cell\n{wait}\necho done",
        f"open({str(release)!r}, 'w').close()",
        "cell.wait_progress()\nprint(cell.get_output()[0], end='')",
    ]
    async with Run(*cells) as run:
        pass
    assert run.texts(1) == ["Submitted batch job 1"]
    progress, output = run.texts(3)
    assert progress.splitlines()[-1] == "End batch job 1 Status:  COMPLETED"
    assert output == "done\n"


def examples() -> nbformat.NotebookNode:
    return nbformat.read(DOCS / "examples" / "cells.ipynb", as_version=4)


def settled(outputs) -> str:
    """Return outputs without what is different each time: ids, times, sizes of pieces."""
    texts = [one.text if "text" in one else one.data["text/plain"] + "\n" for one in outputs]
    text = re.sub(r"(Running|resources) \.+", r"\1", "".join(texts))
    return re.sub(r"^(\d+ *)|(?<=job )\S+", "N ", text, flags=re.MULTILINE)


def test_the_notebook_of_the_documentation_holds_every_example():
    page = (DOCS / "cells.md").read_text()
    shown = re.findall(r"^```(?:text|python) cell\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    assert [one.source for one in examples().cells if one.cell_type == "code"] == shown


async def test_the_notebook_of_the_documentation_prints_what_it_shows(queue):
    notebook = examples()
    wanted = [settled(one.get("outputs", [])) for one in notebook.cells]
    client = NotebookClient(notebook, kernel_manager_class=Manager, timeout=TIMEOUT_S)
    await client.async_execute()
    assert [settled(one.get("outputs", [])) for one in notebook.cells] == wanted
