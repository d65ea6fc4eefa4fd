"""Run docs/examples/three_groups.py as a Hub reads it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tornado.web import HTTPError
from traitlets.config import PyFileConfigLoader

from batchspawner.spawners.options import queue_info
from tests.spawners.site import make_spawner
from wrapspawner import ProfilesSpawner

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "three_groups.py"


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch):
    monkeypatch.setattr(queue_info, "scheduler_names", list)


@pytest.fixture
def member():
    """Return a spawner of a user who is in some groups."""

    def make(*groups: str):
        spawner = make_spawner(ProfilesSpawner, PyFileConfigLoader(str(EXAMPLE)).load_config())
        named = [SimpleNamespace(name=group) for group in groups]
        spawner.user = SimpleNamespace(**{**vars(spawner.user), "groups": named})
        return spawner

    return make


async def script(spawner, **options) -> list[str]:
    await spawner.take_options(options)
    child = spawner.child_spawner
    return (await child._get_batch_script(**child.script_variables())).splitlines()


def test_it_has_less_than_forty_lines():
    assert len(EXAMPLE.read_text().splitlines()) < 40


@pytest.mark.parametrize(
    ("groups", "seen"),
    [
        ([], ["A look around"]),
        (["students"], ["A look around", "Course"]),
        (["chemistry"], ["A look around", "Cluster"]),
        (["physics"], ["A look around", "Cluster", "GPU"]),
    ],
)
async def test_each_group_sees_its_profiles(member, groups, seen):
    html = await member(*groups).get_options_form()
    every = ["A look around", "Course", "Cluster", "GPU"]
    assert [name for name in every if f"<strong>{name}</strong>" in html] == seen


@pytest.mark.parametrize(
    ("groups", "options", "lines"),
    [
        (["students"], {"profile": "course", "nprocs": 2}, ["#QUEUE --slots=2"]),
        (
            ["physics"],
            {"profile": "gpu"},
            ["#SBATCH --partition=gpu", "#SBATCH --gpus=1"],
        ),
        (
            ["chemistry"],
            {"profile": "cluster", "queue": "normal", "runtime": "1d"},
            ["#SBATCH --partition=normal", "#SBATCH --time=24:00:00", "module load jupyter/2025"],
        ),
        (
            ["chemistry"],
            {"profile": "cluster", "software": "new"},
            ["#SBATCH --partition=debug", "export CONDA_PREFIX=/opt/conda/envs/new"],
        ),
    ],
)
async def test_what_is_chosen_is_in_the_script(member, groups, options, lines):
    rendered = await script(member(*groups), **options)
    assert [line for line in lines if line not in rendered] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "gpu"}, "there is no profile 'gpu'"),
        ({"profile": "course"}, "there is no profile 'course'"),
        ({"profile": "cluster", "nprocs": 5}, "choose from 1 to 4 with queue debug"),
        ({"profile": "cluster", "queue": "gpu"}, "choose one of debug, normal"),
        ({"profile": "a-look-around", "nprocs": 5}, "'nprocs' is not allowed"),
    ],
)
async def test_what_is_not_for_a_group_is_refused(member, options, message):
    with pytest.raises(HTTPError, match=message):
        await script(member("chemistry"), **options)
