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

from batchspawner.client.job_scripts import job_request
from batchspawner.errors import OptionsError, TemplateError
from batchspawner.schedulers import _BUILT_IN as BUILT_IN
from batchspawner.schedulers import scheduler_class
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
    "mail_user": "ada+hub@example.org",
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


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULERS if name != "local"])
@pytest.mark.parametrize(
    "value",
    [
        *("ada", "ada@example.org,bob@example.org", "ada@example.org bob@example.org"),
        *("-ada@example.org", "exec:/bin/sh", "[END]mail:a@b", "ada@-x", "a@b\n#PBS -q root"),
        *("$(id)@example.org", '"ada"@example.org', "ada@example.org # x", "a@b;id", "ä@ö.de"),
    ],
)
def test_what_is_no_address_gets_no_mail(scheduler, value):
    with pytest.raises(OptionsError, match=r"mail_user: .* is not allowed"):
        render_script(f"{scheduler}.j2", {**MINIMAL, "mail_user": value})


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


ODD = {
    "QUOTES": 'it\'s "so"',
    "COMMA": "a,b",
    "BACKSLASH": "\\n\\",
    "LINES": "one\ntwo\n",
    "RETURN": "one\r\n",
    "DOLLAR": "$HOME `id`",
    "UMLAUT": "Übung",
    "EMPTY": "",
    "LONG": "x" * 5000,
}


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "htcondor"])
def test_a_job_gets_values_as_they_are(name, monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", "it's,here")
    scheduler = scheduler_class(name)()
    show = f"env -0 > {tmp_path}/seen"
    request = job_request(
        scheduler, show, front_end="functions", name="f", log=str(tmp_path / "log"), environment=ODD
    )
    values = {**ODD, "TZ": "it's,here"}
    spoilt = {one for one in values if not scheduler.carried_values.fullmatch(values[one])}
    lists = re.findall(r"^#.*(?:-v|export=)(.*)$", request.script, re.MULTILINE)
    assert not spoilt & set(re.findall(r"\w+", "".join(lists)))
    # The scheduler passes on what its commands have in their environment.
    carried = {key: text for key, text in request.environment.items() if key not in spoilt}
    subprocess.run(["bash", "-c", request.script], env=carried, check=True)
    pairs = (tmp_path / "seen").read_bytes().decode().split("\0")
    seen = dict(pair.split("=", 1) for pair in pairs if pair)
    assert {key: seen.get(key) for key in values} == values


def refusal(scheduler, **resources) -> str:
    with pytest.raises(OptionsError) as caught:
        job_request(
            scheduler_class(scheduler)(), "true", front_end="cells", name="x", log="x", **resources
        )
    return str(caught.value)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_value_that_no_scheduler_could_take_is_refused_by_the_name_of_its_resource(scheduler):
    for name, value, allowed in [
        ("memory", "many", "write an amount such as 4000M, 4G or 1.5T"),
        ("runtime", "long", "write a time such as 90 (minutes), 12:00:00, 1-12:00:00 or 1d 12h"),
        ("nprocs", "x", "give a whole number from 1"),
        ("nodes", "two", "give a whole number from 1"),
        ("nodes", 0, "give a whole number from 1"),
        ("gpus", -1, "give a number of GPUs, or a kind and a number: a100:2"),
        ("gpus", "some", "give a number of GPUs, or a kind and a number: a100:2"),
    ]:
        told = refusal(scheduler, **{name: value})
        assert told == f"{name}: {value!r} is not allowed; {allowed}"


def test_what_one_scheduler_can_take_is_left_to_it():
    for scheduler, wanted in [
        ("slurm", {"gpus": "a100:2", "nodes": "2-4", "runtime": "unlimited", "memory": 0}),
        ("slurm", {"gpus": "gpu:1g.5gb:2,v100:1"}),
        ("gridengine", {"nprocs": "2-4", "parallel_environment": "smp"}),
        ("lsf", {"nprocs": "04", "memory": "4GB"}),
        ("htcondor", {"memory": "1024 * $(Process)"}),
    ]:
        job_request(
            scheduler_class(scheduler)(), "true", front_end="cells", name="x", log="x", **wanted
        )
    assert (
        refusal("local", nprocs="2-4") == "nprocs: '2-4' is not allowed; give a whole number from 1"
    )


def test_an_unknown_resource_names_the_nearest_of_ours():
    told = refusal("slurm", walltime="1:00:00")
    assert told.startswith(
        "walltime: '1:00:00' is not allowed; did you mean runtime? A job can ask"
    )
    assert "did you mean nprocs? " in refusal("pbspro", nproc=4)
    assert refusal("lsf", zebra=1).startswith(
        "zebra: 1 is not allowed; a job can ask for: account,"
    )


def test_a_variable_that_would_not_arrive_as_it_is_refuses_the_job(tmp_path):
    (tmp_path / "pbspro.j2").write_text("#!/bin/tcsh\n#PBS -v {{ keepvars }}\n{{ cmd }}\n")
    for scheduler, folders, title, value in [
        ("pbspro", [str(tmp_path)], "PBS", 'a "quote"'),
        ("htcondor", None, "HTCondor", "two\nlines"),
    ]:
        with pytest.raises(OptionsError) as caught:
            job_request(
                scheduler_class(scheduler)(),
                "true",
                front_end="cells",
                name="x",
                log="x",
                folders=folders,
                environment={"ODD": value, "PLAIN": "a"},
            )
        assert str(caught.value) == (
            f"environment: 'ODD' is not allowed; {title} would change its value, and this job "
            "script cannot set it"
        )
