"""Functions of a notebook as jobs: those that a cell defines, and defines again."""

from __future__ import annotations

import sys

import nbformat
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


async def test_cells_define_what_runs_in_jobs(queue, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    await NotebookClient(book, kernel_manager_class=Manager, timeout=240).async_execute()
    # The status line of a wait of over a second is an output, too.
    outputs = [one for cell in book.cells for one in cell.outputs if one.get("name") != "stderr"]
    assert [one.data["text/plain"] for one in outputs] == [
        "(True, True, 6)",
        "12",
        "12",
        "([2, 4], 4)",
    ]
