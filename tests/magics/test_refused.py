"""Cells that are not submitted: a message, whose last line says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from batchspawner.errors import SubmitError
from batchspawner.magics.execute import advice_for
from tests.magics.test_notebook import queue

__all__ = ["queue"]


def test_the_message_of_a_refused_cell_ends_with_what_to_do(queue, notebook):
    out, err = notebook.run("%%execute --wlm=local --slots=99\ntrue")
    first, *_, last = err.splitlines()
    assert (out, first.partition(":")[0]) == ("", "UsageError")
    assert "this queue has only" in err
    assert last == (
        "Correct what it names, in the line of %%execute or in the cell, and run the cell again."
    )


def test_a_scheduler_that_is_full_is_tried_again_later():
    error = SubmitError("no", transient=True)
    assert advice_for(error) == "Run the cell again later: the scheduler accepts no more jobs now."


@pytest.mark.skipif(not shutil.which("sbatch"), reason="Slurm's commands are not on this machine")
def test_commands_without_a_cluster_name_the_embedded_queue(notebook, monkeypatch, tmp_path):
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine has a cluster")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    _, err = notebook.run("%%execute --wlm=slurm\ntrue")
    assert err.splitlines()[0].startswith("UsageError: ")
    assert err.splitlines()[-1] == (
        "Without a cluster, run the cell in the embedded queue: %%execute --wlm=local"
    )
