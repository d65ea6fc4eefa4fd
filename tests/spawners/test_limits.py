"""The limits of a job, as jupyter-resource-usage finds them in a server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from batchspawner.schedulers.slurm import Slurm
from batchspawner.spawners.traits.limits import limit_variables
from tests.test_singleuser import environment_of_a_job, hub

__all__ = ["hub"]

GIB = 1 << 30
SHOW = (
    "import json; from jupyter_resource_usage.config import ResourceUseDisplay as Display;"
    "print(json.dumps([Display().mem_limit, Display().cpu_limit]))"
)
SLURM = {
    "BATCHSPAWNER_JOB_LIMITS": json.dumps(Slurm.identity()),
    "SLURM_MEM_PER_NODE": "1",
    "SLURM_CPUS_ON_NODE": "1",
}


def shown(url: str, **more: str) -> list[float]:
    """Return the limits of memory and cores that a server in a job shows."""
    command = [sys.executable, "-m", "batchspawner.singleuser", sys.executable, "-c", SHOW]
    environment = environment_of_a_job(url, **more)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    limits: list[float] = json.loads(done.stdout)
    return limits


def test_a_server_shows_what_its_job_has(hub):
    assert shown(hub().url, MEM_GUARANTEE=str(4 * GIB), **SLURM) == [1 << 20, 1]


def test_what_the_administrator_has_set_stays(hub):
    assert shown(hub().url, MEM_LIMIT=str(GIB), CPU_LIMIT="3", **SLURM) == [GIB, 3]


@pytest.mark.parametrize(
    ("memory", "nprocs", "expected"),
    [
        ("4G", "2", {"MEM_GUARANTEE": str(4 * GIB), "CPU_GUARANTEE": "2"}),
        ("1.5 gib", "", {"MEM_GUARANTEE": str(3 * GIB // 2)}),
        # Only the scheduler knows its unit.
        ("4000", "auto", {}),
        ("lots", "0", {}),
    ],
)
async def test_the_hub_says_what_the_job_asks_for(spawner, memory, nprocs, expected):
    spawner.req_memory, spawner.req_nprocs = memory, nprocs
    environment = spawner.get_env()
    names = ("MEM_GUARANTEE", "CPU_GUARANTEE")
    assert {name: environment[name] for name in names if name in environment} == expected


async def test_memory_that_a_user_has_chosen_counts(spawner):
    spawner.req_memory = "2G"
    spawner.set_chosen({"memory": "4G"})
    assert limit_variables(spawner)["MEM_GUARANTEE"] == str(4 * GIB)
