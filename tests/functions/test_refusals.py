"""What a person sees of a refused call: the line that made it, why, and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.functions.test_notebook import Manager, folders

__all__ = ["folders"]

CORRECT = "Correct what it names, in slurmify(…), with_options(…) or Executor(…), and try again."
NO_CLUSTER = (
    "Without a cluster, use the embedded queue: BATCHSPAWNER_SCHEDULER=local in the environment, "
    'set_dispatcher(BatchDispatcher("local")) or Executor("local").'
)
HEAD = """\
from batchspawner.functions import BatchDispatcher, Executor, JobBundling, slurmify
@slurmify(nprocs=99)
def square(number): return number * number
"""
CALLS = {
    "function": "square.distribute(3)",
    "bundle": "with JobBundling(2) as bundle: square.distribute(3); bundle.flush()",
    "executor": 'print(list(Executor("local", workers=1, nprocs=99).map(abs, [1])))',
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_script_ends_in_the_line_of_the_caller_and_with_what_to_do(queue, kind, tmp_path):
    lines = stderr_of(f"{HEAD}if __name__ == '__main__':\n    {CALLS[kind]}\n", tmp_path)
    files = [line for line in lines if line.startswith("  File ")]
    assert [line.partition(",")[0] for line in files] == [f'  File "{tmp_path / "script.py"}"']
    assert f"    {CALLS[kind]}" in lines
    assert "batchspawner.errors.SubmitError: The local queue refused the job." in lines
    assert lines[-1] == CORRECT


@pytest.mark.skipif(not shutil.which("sbatch"), reason="Slurm's commands are not on this machine")
def test_commands_without_a_cluster_name_the_embedded_queue(queue, tmp_path, monkeypatch):
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine has a cluster")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setenv("BATCHSPAWNER_SCHEDULER", "slurm")
    lines = stderr_of(f"{HEAD}if __name__ == '__main__':\n    square.distribute(3)\n", tmp_path)
    assert "batchspawner.errors.SchedulerUnavailable: Slurm did not answer." in lines
    assert lines[-1] == NO_CLUSTER


async def test_a_notebook_shows_a_message_and_no_frame_of_ours(queue):
    unsendable = "Executor('local', workers=1).submit(abs, (one for one in [1]))"
    wrong = "square.with_options(runtime='soon').distribute(1)"
    cells = [HEAD, *CALLS.values(), unsendable, wrong]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    client = NotebookClient(book, kernel_manager_class=Manager, timeout=240, allow_errors=True)
    await client.async_execute()
    shown = [
        one.traceback for cell in book.cells for one in cell.outputs if one.output_type == "error"
    ]
    assert [one[0] for one in shown] == [f"line 1: {text}" for text in cells[1:]]
    assert [one[1].splitlines()[0] for one in shown[:3]] == [
        "SubmitError: The local queue refused the job."
    ] * 3
    assert [one[-1] for one in shown[:3]] == [CORRECT] * 3
    assert [(len(one), one[1].partition(":")[0]) for one in shown[3:]] == [
        (2, "CannotTravel"),
        (2, "OptionsError"),
    ]


def stderr_of(text: str, folder: Path) -> list[str]:
    script = folder / "script.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=folder
    )
    assert done.returncode == 1
    return done.stderr.splitlines()
