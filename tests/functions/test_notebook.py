"""Functions of a notebook as jobs: those that a cell defines, and defines again."""

from __future__ import annotations

import asyncio
import sys

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

CELLS = [
    """
from batchspawner.functions import Executor, slurmify
factor = 2
class Point:
    def __init__(self, x): self.x = x
@slurmify
def double(point): return Point(point.x * factor)
""",
    """
future = double.distribute(Point(3))
future.get_job_id() is not None, type(future.result(120)) is Point, future.result().x
""",
    "@slurmify\ndef double(number): return number + number + factor",
    "await double.distribute(5)",
    "double.distribute(5).result(120)",
    """
with Executor("local", workers=1) as one:
    found = list(one.map(lambda n: n * factor, [1, 2]))
found, double(1)
""",
]


class Manager(AsyncKernelManager):
    """Manager of a kernel with the Python that runs the tests."""

    def format_kernel_cmd(self, extra_arguments=None):
        return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))


async def test_cells_define_what_runs_in_jobs(queue):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    await NotebookClient(book, kernel_manager_class=Manager, timeout=240).async_execute()
    # The status line of a wait of over a second is an output, too.
    outputs = [one for cell in book.cells for one in cell.outputs]
    values = [one for one in outputs if one.output_type == "execute_result"]
    assert [one.data["text/plain"] for one in values] == [
        "(True, True, 6)",
        "12",
        "12",
        "([2, 4], 4)",
    ]


WAITS = """
import os, sys, time
{before}
from batchspawner.functions import Executor
def wait(number):
    while not os.path.exists({release!r}): time.sleep(0.05)
    return number
with Executor("processes", workers=2) as executor:
    print(list(executor.map(wait, range(4), progress=True)))
"""


async def outputs_of_a_wait(folder, shows_it, before: str = ""):
    """Return the outputs of a cell with a bar, and the client; the calls end once it is shown."""
    release = folder / "release"
    text = WAITS.format(release=str(release), before=before)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text)])
    client = NotebookClient(book, kernel_manager_class=Manager, timeout=240)
    running = asyncio.ensure_future(client.async_execute())
    while not (running.done() or shows_it(book.cells[0].outputs, client)):
        await asyncio.sleep(0.05)
    release.touch()
    await running
    return book.cells[0].outputs, client


async def test_the_bar_is_one_output_that_is_rewritten(queue, tmp_path):
    def shows_the_bar(outputs, _) -> bool:
        shown = [one.data["text/plain"] for one in outputs if "data" in one]
        return any(one.startswith("  0%|") for one in shown)

    # As if ipywidgets were not installed.
    without = "import importlib.util as u; find = u.find_spec\n"
    without += (
        "u.find_spec = lambda name, *more: None if name == 'ipywidgets' else find(name, *more)"
    )
    (bar, printed), _ = await outputs_of_a_wait(tmp_path, shows_the_bar, without)
    assert bar.output_type == "display_data"
    assert bar.data["text/plain"].startswith(f"100%|{'#' * 30}| 4/4 [")
    assert (printed.name, printed.text) == ("stdout", "[0, 1, 2, 3]\n")


async def test_with_ipywidgets_the_bar_is_a_widget(queue, tmp_path):
    def bars(client) -> list[dict]:
        states = client.widget_state.values()
        return [one for one in states if one.get("_model_name") == "IntProgressModel"]

    def shows_the_bar(outputs, _) -> bool:
        return any("application/vnd.jupyter.widget-view+json" in one.data for one in outputs)

    (bar, printed), client = await outputs_of_a_wait(tmp_path, shows_the_bar)
    assert bar.output_type == "display_data"
    (state,) = bars(client)
    assert (state["value"], state["max"], state["bar_style"]) == (4, 4, "success")
    (label,) = [
        one["value"]
        for one in client.widget_state.values()
        if one.get("_model_name") == "HTMLModel"
    ]
    assert label.startswith("100% 4/4 [0:")
    assert label.endswith("0 running]")
    assert (printed.name, printed.text) == ("stdout", "[0, 1, 2, 3]\n")
