"""A job knows how much memory and how many cores it has, on every scheduler that says it."""

from __future__ import annotations

import os
import resource

import pytest

from batchspawner.agent import job_limits as module
from batchspawner.agent.job_limits import job_limits
from batchspawner.schedulers import scheduler_classes

GIB = 1 << 30
PLACES = [
    ({"SLURM_MEM_PER_NODE": "2048", "SLURM_CPUS_ON_NODE": "4"}, (2 * GIB, 4)),
    ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "4"}, (4 * GIB, 4)),
    # --mem=0 is all the memory of the node.
    ({"SLURM_MEM_PER_NODE": "0", "SLURM_CPUS_ON_NODE": "4"}, (None, 4)),
    ({"NCPUS": "3"}, (None, 3)),
    ({"PBS_NUM_PPN": "3"}, (None, 3)),
    ({"NSLOTS": "3"}, (None, 3)),
    ({"LSB_DJOB_NUMPROC": "3"}, (None, 3)),
    ({"_CONDOR_JOB_AD": "AD"}, (2 * GIB, 2)),
    ({}, (None, None)),
]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 cores whose control groups are empty, and which limits nothing."""
    monkeypatch.setattr(module.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(64)))
    endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: endless)
    monkeypatch.setattr(module.os, "environ", {})
    (tmp_path / "own").write_text("4:memory:/job/7\n0::/slurm/job_7\n")
    return tmp_path


def limits(machine, places=()) -> tuple[int | None, float | None]:
    found = job_limits(places, str(machine / "root"), str(machine / "own"))
    memory, cores = found.get("MEM_LIMIT"), found.get("CPU_LIMIT")
    return memory and int(memory), cores and float(cores)


def write(machine, path: str, text: str) -> None:
    file = machine / "root" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(("environment", "expected"), PLACES)
def test_a_scheduler_says_what_the_job_has(machine, monkeypatch, environment, expected):
    (machine / "AD").write_text('RequestCpus = 2\nRequestMemory = 2048\nArgs = "a = 1"\n')
    monkeypatch.chdir(machine)
    monkeypatch.setattr(module.os, "environ", environment)
    assert limits(machine, [one.identity() for one in scheduler_classes()]) == expected


def test_the_smallest_limit_of_the_control_groups_counts(machine):
    write(machine, "slurm/job_7/memory.max", "max\n")
    write(machine, "slurm/memory.max", f"{3 * GIB}\n")
    write(machine, "slurm/job_7/cpu.max", "150000 100000\n")
    assert limits(machine) == (3 * GIB, 1.5)
    write(machine, "memory/job/7/memory.limit_in_bytes", f"{2 * GIB}\n")
    write(machine, "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert limits(machine) == (2 * GIB, 1.5)


def test_what_the_system_enforces_below_the_request_counts(machine, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: (GIB, GIB))
    monkeypatch.setattr(module.os, "environ", {"NSLOTS": "3"})
    assert limits(machine, [one.identity() for one in scheduler_classes()]) == (GIB, 2)


def test_nothing_that_cannot_be_read_is_an_error(machine):
    os.remove(machine / "own")
    assert limits(machine, [{}]) == (None, None)
