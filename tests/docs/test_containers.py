"""The configurations of docs/containers-and-gpus.md give the commands that it describes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub

import batchspawner
from batchspawner.kernels import settings
from batchspawner.schedulers import scheduler_class, scheduler_names
from tests.spawners.site import make_spawner

PAGE = (Path(__file__).parents[2] / "docs" / "containers-and-gpus.md").read_text(encoding="utf-8")
CONFIGURATIONS = [
    one for one in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "spawner_class" in one
]

IN_IMAGE = (
    "srun apptainer exec --nv --bind /data /images/pytorch.sif"
    " batchspawner-singleuser jupyterhub-singleuser || status=$?"
)
AROUND = (
    "srun /shared/jupyter/bin/batchspawner-singleuser apptainer exec --nv"
    " /images/datascience-notebook.sif jupyterhub-singleuser || status=$?"
)
EXPECTED = [
    (0, {}, [IN_IMAGE]),
    (1, {}, [AROUND]),
    (2, {}, ['+SingularityImage = "/images/jupyter.sif"']),
    (3, {}, ["#SBATCH --partition=gpu", "#SBATCH --gpus=1"]),
    (3, {"profile": "several-gpus"}, ["#SBATCH --gpus=1"]),
    (3, {"profile": "several-gpus", "ngpus": 4}, ["#SBATCH --gpus=4"]),
]


@pytest.mark.parametrize(("number", "options", "lines"), EXPECTED)
async def test_a_configuration_gives_these_lines_of_the_job_script(
    number, options, lines, tmp_path
):
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(CONFIGURATIONS[number])
    app = JupyterHub()
    app.load_config_file(str(file))
    spawner = make_spawner(app.spawner_class, dict(app.config))
    await spawner.take_options(options)
    job = getattr(spawner, "child_spawner", spawner)
    script = await job._get_batch_script(**job.script_variables())
    assert [line for line in lines if line not in script.splitlines()] == []


def test_the_kernel_in_a_container_has_what_a_kernel_needs():
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    spec = json.loads(text)
    given = settings.read(spec["metadata"]["kernel_provisioner"]["config"])
    assert dict(given.resources) == {
        "queue": "gpu",
        "gpus": "1",
        "memory": "16G",
        "runtime": "4:00:00",
    }
    assert spec["argv"][:4] == ["apptainer", "exec", "--nv", "/images/pytorch.sif"]
    assert spec["argv"][-1] == "{connection_file}"


def rows() -> dict[str, str]:
    """Return what the table says that a number of GPUs becomes, by the scheduler's title."""
    table = PAGE.partition("| what it becomes |")[2]
    found = re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \| [^|]*\|$", table)
    return {title: text for titles, text in found for title in titles.split(", ")}


@pytest.mark.parametrize("name", sorted(set(scheduler_names()) - {"local"}))
async def test_the_table_says_what_a_number_of_gpus_becomes(name):
    title = scheduler_class(name).title
    said = re.sub(r"=( ?)N\b", r"=\g<1>2", re.search("`([^`]+)`", rows()[title])[1])
    cls = next(one for one in known_spawners() if one.scheduler_name == name)
    spawner = make_spawner(cls, req_ngpus="2")
    script = await spawner._get_batch_script(**spawner.script_variables())
    assert said in script


def known_spawners() -> list[type[batchspawner.BatchSpawnerBase]]:
    return [
        getattr(batchspawner, one)
        for one in batchspawner.__all__
        if one.endswith("Spawner") and hasattr(getattr(batchspawner, one), "scheduler_name")
    ]
