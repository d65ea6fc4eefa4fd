"""The job scripts that users get: compared whole with tests/golden.

`BATCHSPAWNER_GOLDEN=1 pytest tests/client/test_job_scripts.py` writes the files again; read the
change before you commit it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from batchspawner.errors import OptionsError, TemplateError
from batchspawner.schedulers import _BUILT_IN as BUILT_IN
from batchspawner.templating import format_template, render_script

SCHEDULERS = sorted(BUILT_IN)
GOLDEN = Path(__file__).parents[1] / "golden"
NOTHING = dict.fromkeys(
    "queue host memory nprocs ngpus runtime partition account options prologue epilogue "
    "keepvars_extra cluster qos reservation gres srun parallel_environment".split(),
    "",
)
MINIMAL = {
    **NOTHING,
    "username": "alice",
    "homedir": "/home/alice",
    "keepvars": "JUPYTERHUB_API_TOKEN,LANG",
    "path": "",
    "cmd": "batchspawner-singleuser jupyterhub-singleuser",
}
EVERYTHING = {
    **MINIMAL,
    "queue": "day",
    "host": "node7",
    "memory": "4G",
    "nprocs": "2",
    "ngpus": "1",
    "runtime": "12:00:00",
    "account": "physics",
    "options": "--exclusive\n--mail-type=END",
    "prologue": "module load python\nulimit -n 4096",
    "epilogue": "rm -rf /scratch/$USER",
    "cluster": "one",
    "qos": "high",
    "reservation": "course",
    "gres": "tmp:10G",
    "srun": "srun",
    "parallel_environment": "smp",
    "path": "/opt/the hub/bin:/usr/bin",
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(("case", "values"), [("minimal", MINIMAL), ("everything", EVERYTHING)])
def test_the_script_of_a_scheduler_is_the_recorded_one(scheduler, case, values):
    script = render_script(f"{scheduler}.j2", values)
    file = GOLDEN / f"{scheduler}-{case}.sh"
    if os.environ.get("BATCHSPAWNER_GOLDEN"):
        file.write_text(script)
    assert script == file.read_text()


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULERS if name != "htcondor"])
def test_a_script_is_valid_bash(scheduler):
    script = render_script(f"{scheduler}.j2", EVERYTHING)
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("prologue", ["", "true"])
def test_a_job_of_htcondor_searches_where_the_hub_does_at_last(tmp_path, prologue):
    hub = tmp_path / "the hub's own"
    hub.mkdir()
    (hub / "wrapper").write_text('#!/bin/sh\necho "$PATH"\n')
    (hub / "wrapper").chmod(0o755)
    values = {**MINIMAL, "path": str(hub), "cmd": "wrapper", "prologue": prologue}
    (line,) = re.findall(r"(?m)^Arguments = \"-c '(.*)'\"$", render_script("htcondor.j2", values))
    command = line.replace('""', '"').replace("''", "'")
    node = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", command], env=node, capture_output=True, text=True)
    assert done.stdout == f"/usr/bin:/bin:{hub}\n"


def test_moab_has_partitions_besides_queues():
    script = render_script("moab.j2", {**EVERYTHING, "partition": "gpu"})
    assert "#PBS -q day@node7\n" in script
    assert "#PBS -l partition=gpu\n" in script


@pytest.mark.parametrize("value", ["a\n#SBATCH --uid=0", "a\rb", "a\0b", "a\x1b[0m", "a\u2028b"])
def test_a_value_cannot_break_out_of_its_line(value):
    with pytest.raises(OptionsError, match=r"queue: .* must be one line"):
        render_script("slurm.j2", {**MINIMAL, "queue": value})


def test_a_variable_that_does_not_exist_is_named():
    values = {name: value for name, value in MINIMAL.items() if name != "qos"}
    with pytest.raises(TemplateError, match=r"slurm\.j2:\d+: 'qos' is undefined"):
        render_script("slurm.j2", values)


def test_a_template_that_does_not_exist_is_named():
    with pytest.raises(TemplateError, match=r"there is no template 'slrum\.j2'"):
        render_script("slrum.j2", MINIMAL)


def test_a_runtime_alone_does_not_ask_oar_for_a_whole_node():
    script = render_script("oar.j2", {**MINIMAL, "runtime": "8:00:00"})
    lines = [line for line in script.splitlines() if line.startswith("#OAR -l")]
    assert lines == ["#OAR -l walltime=8:00:00"]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(("trait", "value"), [("memory", "lots"), ("runtime", "tomorrow")])
def test_an_amount_that_is_none_is_refused_with_its_trait(scheduler, trait, value):
    if (scheduler, trait) in {("local", "memory"), ("oar", "memory")}:
        pytest.skip("this scheduler does not hand out memory")
    with pytest.raises(OptionsError, match=f"req_{trait}: '{value}' is not allowed; write"):
        render_script(f"{scheduler}.j2", {**EVERYTHING, trait: value})


@pytest.mark.parametrize(
    ("template", "formatted"),
    [
        ("squeue -j {job_id} -o '%T'", "squeue -j 7 -o '%T'"),
        ("squeue -j {{job_id}}", "squeue -j 7"),
        ("{% if job_id %}yes{% endif %}{{unknown}}", "yes"),
        ("a {{job_id}}\n", "a 7"),
        ("plain", "plain"),
    ],
)
def test_template_strings_of_configurations_are_read_as_always(template, formatted):
    assert format_template(template, job_id="7") == formatted


def test_an_unknown_name_in_an_old_string_is_an_error():
    with pytest.raises(KeyError, match="HOME"):
        format_template("echo ${HOME}", job_id="7")


def test_a_compiled_template_is_rendered():
    from jinja2 import Template

    assert format_template(Template("{{a}}"), a=1) == "1"


@pytest.mark.parametrize(
    ("scheduler", "lines"),
    [
        ("slurm", ["#SBATCH --nodes=2", "#SBATCH --ntasks=3", "#SBATCH --ntasks-per-node=2"]),
        ("pbspro", ["#PBS -l select=2:ncpus=8:mpiprocs=2"]),
        ("torque", ["#PBS -l nodes=2:ppn=8"]),
        ("oar", ["#OAR -l /nodes=2/core=8"]),
        ("gridengine", ["#$ -pe mpi 12"]),
        ("lsf", ['#BSUB -R "span[ptile=8]"', "#BSUB -n 12"]),
    ],
)
def test_engines_of_a_cluster_have_their_share_of_each_node(scheduler, lines):
    wanted = {"nodes": "2", "tasks": "3", "nprocs": "4", "parallel_environment": "mpi"}
    script = render_script(f"{scheduler}.j2", {**MINIMAL, **wanted})
    named = ("nodes", "tasks", "-pe ", "select=", "-n ", "ptile")
    assert [
        line
        for line in script.splitlines()
        if line.startswith("#") and any(name in line for name in named) and "OAR -n" not in line
    ] == lines
