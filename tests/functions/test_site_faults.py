"""Faults of functions as jobs, which are reported alike on every kind of scheduler."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.folders import open_to_all
from tests.functions.test_sites import setting_out
from tests.hubs import wait_for

pytestmark = pytest.mark.clusters  # without a scheduler, too, they take their time

FAULTS = Path(__file__).with_name("faults.py")

# Slurm reckons in minutes.
SHORTEST = {"slurm": "1m", "slurm24": "1m"}

UNPICKLABLE = "the result, a generator, cannot be sent back: cannot pickle 'generator' object"

DAEMONS = {
    "slurm": "slurmd",
    "slurm24": "slurmd",
    "gridengine": "sge_execd",
    "htcondor": "condor_startd",
    "local": "supervisor",
}


@pytest.fixture
def folder():
    """A folder that the owner of the jobs can write into."""
    with open_to_all() as folder:
        yield folder


def run(site, *words):
    argv, env = setting_out(site, *words, script=FAULTS)
    done = subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_jobs_that_go_wrong_end_the_same_on_every_scheduler(site, folder):
    found = run(site, "jobs", folder, SHORTEST.get(site.name, "0:00:20"))
    assert found == {
        "killed": ["JobOutOfMemory", ""],
        "unpicklable": ["TypeError", UNPICKLABLE],
        "large": 500_000_000,
        "shouted": [None, 100_000_000],
        "stranger": "hello",
        "cut": "held",
        "cancelled": ["JobCancelled", "stopped"],
        "slow": ["JobTimeout", "too slow"],
    }


def test_workers_do_thousands_of_calls_and_huge_ones_on_every_scheduler(site, folder):
    assert run(site, "workers", folder) == {
        "sum": sum(number * number for number in range(10_000)),
        "memory": True,
        "shouted": [None, True],
        "large": 500_000_000,
        "unpicklable": ["TypeError", UNPICKLABLE],
    }


@pytest.mark.slurm
@pytest.mark.scheduler
def test_what_needs_more_memory_than_it_has_asked_for_is_told_so(strict_slurm, folder):
    told = ["JobOutOfMemory", "still hungry"]
    assert run(strict_slurm, "memory", folder) == {"job": told, "worker": told}


@contextmanager
def held(site, folder):
    """Run a driver whose call waits for a file ``go`` in a job; yields the driver and the job."""
    # HTCondor waits for a node that it has lost, by default for 40 minutes.
    options = {"job_lease_duration": 30} if site.name == "htcondor" else {}
    argv, env = setting_out(site, "held", folder, json.dumps(options), script=FAULTS)
    with subprocess.Popen(argv, env=env, cwd="/", stdout=subprocess.PIPE, text=True) as driver:
        try:
            yield driver, json.loads(driver.stdout.readline())
        finally:
            for one in (*psutil.Process(driver.pid).children(recursive=True), driver):
                one.kill()
            site.start()


def test_a_call_is_done_though_the_daemon_of_its_node_is_killed(site, folder):
    if site.name not in DAEMONS:
        pytest.skip(f"not known of {site.name} which daemon that is")
    with held(site, folder) as (driver, _):
        killed = daemons(site)
        assert killed
        for one in killed:
            one.kill()
        psutil.wait_procs(killed)
        (folder / "go").touch()
        assert json.loads(driver.stdout.readline()) == "held"


def test_a_call_whose_node_is_lost_is_done_on_another(site, folder):
    if not site.name.startswith("slurm"):
        pytest.skip("only on Slurm can the tests lose a node within a minute")
    with held(site, folder) as (driver, job_id):
        (folder / "begun").unlink()
        site.cluster.lose(site.cluster.node_of(job_id), job_id)
        wait_for((folder / "begun").exists, 120, "the second start")
        (folder / "go").touch()
        assert json.loads(driver.stdout.readline()) == "held"


def daemons(site):
    """Return the processes of a site that look after the jobs of a node."""
    home = str(site.folder if site.name == "local" else site.cluster.prefix)
    found = []
    for one in psutil.process_iter():
        try:
            named = DAEMONS[site.name] in " ".join([one.name(), *one.cmdline()])
            if named and home in " ".join([*one.cmdline(), *one.environ().values()]):
                found.append(one)
        except psutil.Error:
            continue
    return found
