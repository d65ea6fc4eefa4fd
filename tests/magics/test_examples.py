"""Examples of docs/cells.md that need a place of their own, as cells of a real notebook.

test_notebook.py runs those that run everywhere.
"""

from __future__ import annotations

import re
import shutil

import pytest

from tests import sshd
from tests.magics.test_notebook import DOCS, Run, queue

__all__ = ["queue"]

PAGE = (DOCS / "cells.md").read_text()
EXAMPLES = re.findall(r"^```text\n(%.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def example(beginning: str) -> str:
    (one,) = [text for text in EXAMPLES if text.startswith(beginning)]
    return one


@pytest.fixture
def two_nodes(site):
    """Give the example's partition as many nodes as it wants."""
    site.cluster.run("scontrol", "update", "partitionname=debug", "nodes=n[1-2]")
    yield
    site.cluster.run("scontrol", "update", "partitionname=debug", "nodes=n1")


@pytest.mark.parametrize("site", ["slurm"], indirect=True)
async def test_the_options_of_the_submit_command_reach_it(site, two_nodes, monkeypatch, tmp_path):
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    async with Run(f"{example('%%execute --wlm=slurm')}\nscontrol show job $SLURM_JOB_ID") as run:
        pass
    told = "\n".join(run.texts())
    assert re.search(r"^End batch job \S+ Status:  COMPLETED$", told, re.MULTILINE), told
    wanted = ("Partition=debug", "NumNodes=2", "TimeLimit=00:10:00", "Comment=lines for the")
    assert [one in told for one in wanted] == [True] * 4, told


@pytest.fixture
def node1(tmp_path, monkeypatch):
    """A host of this name, which the user's ssh knows."""
    if sshd.unavailable():
        pytest.skip(sshd.unavailable())
    server = sshd.Host(tmp_path / "ssh", "node1").start()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {server.config} "$@"\n')
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    yield
    server.stop()


async def test_a_cell_runs_on_another_machine(node1):
    async with Run(example("%%execute --wlm=ssh"), "pid") as run:
        pass
    head, output = run.texts()
    (pid,) = run.texts(2)
    assert head.splitlines()[0] == f"SSH started with pid: {pid}"
    assert "load average" in output


async def test_jobs_are_looked_at_and_cancelled_by_their_number(queue):
    show, follow, cancel = re.findall(r"^(%job\w+ 12(?: -f)?) ", example("%joblog"), re.MULTILINE)
    begin = "%%execute --wlm=auto --bg --jobid=job --amgr=cell\necho one; sleep 600"
    heard = "while not cell.log(): __import__('time').sleep(0.05)"
    texts = [one.replace("12", "{job}") for one in (show, cancel, follow)]
    async with Run(begin, heard, *texts, "cell.state.name") as run:
        pass
    assert [run.texts(number) for number in (3, 4, 5)] == [["one\n"], [], ["one\n"]]
    assert run.texts(6) == ["'CANCELLED'"]
