"""Ordinary users run clusters on real schedulers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.hubs import wait_for
from tests.processes import those_with
from tests.sites import no_jobs_left

SCRIPT = Path(__file__).with_name("on_site.py")
ROOT = SCRIPT.parents[2]


@pytest.fixture
def person(site):
    """An ordinary user of the site, with a home folder that all nodes see."""
    folder = Path(tempfile.mkdtemp(prefix="bsh", dir="/tmp"))
    name = site.users[0]
    shutil.chown(folder, name)
    tried = subprocess.run(["sudo", "-u", name, sys.executable, "-c", ""], capture_output=True)
    if tried.returncode:
        pytest.skip(f"{name} cannot run {sys.executable}: make venv takes the system's Python")
    yield Person(site, name, folder)
    no_jobs_left(site)
    wait_for(lambda: those_with(f"XDG_DATA_HOME={folder}") == [], 20, "the end of all processes")
    left = [str(path) for path in (folder / "data" / "batchspawner" / "clusters").glob("*")]
    left += [str(path) for path in (folder / "ipython").glob("profile_job_*")]
    shutil.rmtree(folder)
    assert left == []


class Person:
    def __init__(self, site, name, folder):
        self.site, self.name, self.folder = site, name, folder

    def start(self, what):
        variables = {
            "PATH": os.environ["PATH"],
            **self.site.environment,
            "BATCHSPAWNER_SCHEDULER": self.site.name,
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "PYTHONPATH": str(ROOT),
        }
        settings = [f"{name}={value}" for name, value in variables.items()]
        command = ["sudo", "-u", self.name, "env", *settings, sys.executable, str(SCRIPT), what]
        return subprocess.Popen(
            command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def sees(self, what):
        with self.start(what) as process:
            out, err = process.communicate()
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])


several = pytest.mark.parametrize("site", ["slurm", "oar", "gridengine"], indirect=True)
with_arrays = pytest.mark.parametrize(
    "site", ["slurm", "oar", "gridengine", "htcondor"], indirect=True
)
on_slurm = pytest.mark.parametrize("site", ["slurm"], indirect=True)


@several
def test_a_cluster_runs_in_one_job(person):
    assert person.sees("whole") == [2, [[1], [2]], "running", False]


@with_arrays
def test_ipyparallel_starts_engines_in_an_array_that_join_as_they_start(person):
    assert person.sees("engines") == [[0, 1], "running", 1]


@on_slurm
def test_ipyparallel_starts_its_controller_as_a_job(person):
    assert person.sees("controller") == [1]


@on_slurm
def test_engines_that_wait_in_the_queue_have_their_time_yet(person, site):
    site.fill()
    with person.start("engines") as process:
        try:
            wait_for(lambda: len(site.jobs()) == 1, 30, "the array in the queue")
        finally:
            site.drain()
        out, err = process.communicate()
    assert (process.returncode, json.loads(out or "0")) == (0, [[0, 1], "running", 1]), err


@several
def test_a_cancelled_job_is_seen_as_ended(person, site):
    with person.start("killed") as process:
        site.cancel(process.stdout.readline().strip())
        out, err = process.communicate()
    assert (process.returncode, json.loads(out or "0")) == (0, ["after", True]), err


@on_slurm
def test_engines_spread_over_nodes(person):
    assert person.sees("nodes") == ["0", "0", "1", "1"]


@on_slurm
def test_engines_are_ranks_of_one_mpi_program(person):
    pytest.importorskip("mpi4py")
    assert person.sees("ranks") == [2, 2]


@on_slurm
def test_slurm_starts_the_ranks_itself(person, site):
    pytest.importorskip("mpi4py")
    command = ["srun", "--mpi=pmix", "true"]
    tried = subprocess.run(
        command, env={**os.environ, **site.environment}, capture_output=True, text=True
    )
    if tried.returncode:
        pytest.skip(f"Slurm has no PMIx (on Debian: apt-get install libpmix-dev): {tried.stderr}")
    assert person.sees("steps") == [2, 2]
