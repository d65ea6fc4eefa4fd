"""Options of functions in job scripts, in the words of each scheduler."""

from __future__ import annotations

import pytest

from batchspawner.client.job_scripts import find_scheduler, job_request
from batchspawner.errors import OptionsError
from batchspawner.functions import options

COMMON = {
    "queue": "long",
    "memory": "2G",
    "runtime": "90m",
    "nprocs": 4,
    "gpus": 1,
    "account": "phys",
}

WRITTEN = {
    "slurm": [
        "#SBATCH --partition=long",
        "#SBATCH --account=phys",
        "#SBATCH --time=1:30:00",
        "#SBATCH --mem=2G",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --gpus=1",
    ],
    "torque": [
        "#PBS -q long",
        "#PBS -l walltime=1:30:00",
        "#PBS -l nodes=1:ppn=4:gpus=1",
        "#PBS -l mem=2048mb",
        "#PBS -A phys",
    ],
    "moab": [
        "#PBS -q long",
        "#PBS -l walltime=1:30:00",
        "#PBS -l nodes=1:ppn=4:gpus=1",
        "#PBS -l mem=2048mb",
        "#PBS -A phys",
    ],
    "pbspro": [
        "#PBS -q long",
        "#PBS -l walltime=1:30:00",
        "#PBS -A phys",
        "#PBS -l select=1:ncpus=4:ngpus=1:mem=2048mb",
    ],
    "gridengine": [
        "#$ -q long",
        "#$ -l h_rt=1:30:00",
        "#$ -l h_vmem=2G",
        "#$ -l gpu=1",
        "#$ -A phys",
        "#$ -pe smp 4",
    ],
    "htcondor": [
        "RequestMemory = 2048MB",
        "allowed_job_duration = 5400",
        "RequestCpus = 4",
        "RequestGPUs = 1",
        "AccountingGroup = phys",
    ],
    "lsf": [
        "#BSUB -q long",
        "#BSUB -n 4",
        "#BSUB -M 2048MB",
        '#BSUB -gpu "num=1"',
        "#BSUB -W 1:30",
        "#BSUB -P phys",
    ],
    "oar": [
        "#OAR -l /nodes=1/gpu=1/core=4,walltime=1:30:00",
        "#OAR -q long",
        "#OAR --project phys",
    ],
    "local": ["#QUEUE --slots=4", "#QUEUE --walltime=1:30:00"],
}

SLURMS = {"partition": "debug", "mem": "1G", "time": "0:10:00", "cpus_per_task": 2}

OWN = {
    "slurm": (
        {"constraint": "fast", "exclusive": True, "c": 2, "x": False},
        ["#SBATCH --constraint=fast", "#SBATCH --exclusive", "#SBATCH -c 2"],
    ),
    "pbspro": ({"place": "excl", "m": "abe"}, ["#PBS -l place=excl", "#PBS -m abe"]),
    "gridengine": ({"ssd": 1, "R": "y"}, ["#$ -l ssd=1", "#$ -R y"]),
    "htcondor": ({"job_lease_duration": 300}, ["job_lease_duration = 300"]),
    "lsf": ({"x": True}, ["#BSUB -x"]),
    "oar": ({"type": "besteffort"}, ["#OAR --type=besteffort"]),
}


def script(scheduler, wanted):
    """Return the lines of the script of a job."""
    found = find_scheduler(scheduler)
    request = job_request(
        found,
        "true",
        front_end="functions",
        name="f",
        log="log",
        variables={"environment_file": "environment"},
        **options.job_resources(found, wanted),
    )
    return request.script.splitlines()


@pytest.mark.parametrize("scheduler", WRITTEN)
def test_every_scheduler_is_asked_in_its_own_words_for_what_all_know(scheduler):
    wanted = dict(COMMON)
    if scheduler == "gridengine":
        wanted["parallel_environment"] = "smp"
    assert set(WRITTEN[scheduler]) - set(script(scheduler, wanted)) == set()


@pytest.mark.parametrize("scheduler", sorted(set(WRITTEN) - {"slurm"}))
def test_the_words_of_slurm_are_understood_by_the_others(scheduler):
    own = {"queue": "debug", "memory": "1G", "runtime": "0:10:00", "nprocs": 2}
    assert script(scheduler, SLURMS) == script(scheduler, own)


@pytest.mark.parametrize("scheduler", OWN)
def test_what_only_this_scheduler_knows_goes_to_it_as_it_is(scheduler):
    wanted, lines = OWN[scheduler]
    more = [line for line in script(scheduler, wanted) if line not in script(scheduler, {})]
    assert more == lines


def test_without_a_scheduler_what_only_one_knows_means_nothing():
    assert script("local", {"constraint": "fast", "exclusive": True}) == script("local", {})


def test_an_option_is_one_line():
    with pytest.raises(OptionsError, match="an option has no line breaks"):
        script("slurm", {"comment": "a\n#SBATCH --uid=0"})


def test_cores_that_grid_engine_would_not_give_are_told_of_once(caplog):
    options._warn_once.cache_clear()
    for _ in range(2):
        script("gridengine", {"nprocs": 4})
    script("gridengine", {"nprocs": 1})
    assert len(caplog.messages) == 1
    assert "has one core, whatever its nprocs" in caplog.text
