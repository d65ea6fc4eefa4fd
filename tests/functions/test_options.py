"""Options of functions in job scripts, in the words of each scheduler."""

from __future__ import annotations

import datetime

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


SIMPLE_SLURM = {
    "cpus_per_task": 15,
    "dependency": {"after": 65541, "afterok": 34987},
    "gres": ["gpu:kepler:2", "gpu:tesla:2", "mps:400"],
    "ignore_pbs": True,
    "job_name": "name",
    "nodelist": ("n1", "n2"),
    "signal": range(3, 12, 4),
    "time": datetime.timedelta(days=1, hours=2, minutes=3, seconds=4),
}
"""The package's own example, with a range where Slurm can have one."""


def test_values_are_written_as_simple_slurm_writes_them():
    assert set(script("slurm", SIMPLE_SLURM)) >= {
        "#SBATCH --cpus-per-task=15",
        "#SBATCH --dependency=after:65541,afterok:34987",
        "#SBATCH --gres=gpu:kepler:2,gpu:tesla:2,mps:400",
        "#SBATCH --ignore-pbs",
        "#SBATCH --job-name=name",
        "#SBATCH --nodelist=n1,n2",
        "#SBATCH --signal=3-11:4",
        "#SBATCH --time=26:03:04",
    }


@pytest.mark.parametrize(
    ("scheduler", "wanted", "told"),
    [
        ("local", {"memroy": "4G"}, "memroy: '4G' is not allowed; .* has no such option"),
        ("slurm", {"comment": object}, "comment: .*write it as text, a number"),
        ("slurm", {"array": range(3)}, "array: '0-2' is not allowed; a job does its calls once"),
        ("slurm", {"signal": range(0)}, "signal: .*the range is empty"),
        ("local", {"memroy": "4G"}, "nor has any job; did you mean memory. A job can ask for: "),
        ("slurm", {"walltime": 60}, "walltime: 60 is not .* did you mean runtime. A job can ask"),
        ("lsf", {"cores": 4}, "cores: 4 is not allowed; LSF .* did you mean nprocs. "),
        ("slurm", {"timeout_min": 4}, "did you mean runtime. "),
        ("local", {"ntasks": "x"}, "^ntasks: 'x' is not allowed; give a whole number from 1$"),
    ],
)
def test_an_option_that_means_nothing_is_named_before_submitting(scheduler, wanted, told):
    with pytest.raises(OptionsError, match=told):
        script(scheduler, wanted)


def test_what_a_scheduler_itself_calls_so_is_no_mistake():
    assert "#PBS -l walltime=60" in script("pbspro", {"walltime": 60})
    assert "#OAR --project=phys" in script("oar", {"project": "phys"})


def test_files_are_no_options_of_the_scheduler():
    wanted = {"output": "out", "error": "err", "o": "out", "e": "err", "chdir": "/"}
    assert script("slurm", wanted) == script("slurm", {})
    assert options.job_files({"o": "out", "chdir": "/"}) == options.JobFiles("out", "", "/")
    with pytest.raises(
        OptionsError, match="chdir: '/none' is not allowed; there is no such folder"
    ):
        options.job_files({"chdir": "/none"})
    with pytest.raises(OptionsError, match="output: 3 is not allowed; it has to be a path"):
        options.job_files({"output": 3})


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
