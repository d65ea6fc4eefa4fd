"""Presets of a site and of the last start, in the form and as the server takes them."""

from __future__ import annotations

import json
import re

import pytest
from jupyterhub.utils import maybe_future

from batchspawner import SlurmSpawner
from batchspawner.spawners.options.queue_info import QueueInfo
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.spawners.traits import options
from tests.spawners.site import make_spawner
from wrapspawner import ProfilesSpawner

LIMITS = {"debug": {"nprocs": 4}, "normal": {"nprocs": 64}}
PRESETS = {
    "Small <1>": {"queue": "debug", "nprocs": 2},
    "Too large": {"queue": "debug", "nprocs": 5},
    "Not a field": {"prologue": "curl evil"},
}


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch):
    async def query(*_):
        return QueueInfo()

    monkeypatch.setattr(options, "query_queue_info", query)


def slurm(**traits):
    config = {"resource_form": True, "queue_limits": LIMITS, "presets": PRESETS, **traits}
    return make_spawner(SlurmSpawner, {"SlurmSpawner": config})


def profiles():
    config = {
        "profiles": [
            {
                "display_name": "Cluster",
                "spawner": SlurmSpawner,
                "override": {
                    "resource_form": True,
                    "queue_limits": LIMITS,
                    "req_memory": "1G",
                    "resource_fields": ["queue", "nprocs", "memory"],
                },
            }
        ],
        "presets": {
            "Small": {"profile": "cluster", "nprocs": 2},
            "Pinned": {"profile": "cluster", "memory": "9G"},
            "Gone": {"profile": "gone"},
        },
    }
    return make_spawner(ProfilesSpawner, {"ProfilesSpawner": config})


def listed(html: str) -> dict[str, dict]:
    text = re.search(r"data-bs-presets='([^']*)'", html)[1]
    return {one["name"]: one["values"] for one in json.loads(text)}


async def test_the_presets_that_a_user_may_choose_are_offered():
    html = await slurm().get_options_form()
    assert listed(html) == {"Small <1>": {"queue": "debug", "nprocs": "2"}}
    assert '<option value="Small &lt;1&gt;">Small &lt;1&gt;</option>' in html
    assert "Start again" not in html


async def test_the_last_choice_is_offered_while_it_is_still_allowed():
    spawner = slurm()
    spawner.user_options = {"queue": "normal", "nprocs": "64"}
    html = await spawner.get_options_form()
    assert listed(html)["--last"] == {"queue": "normal", "nprocs": "64"}
    assert "Start again as last time" in html
    spawner.user_options = {"queue": "normal", "nprocs": "65"}
    assert "--last" not in listed(await spawner.get_options_form())


async def read(spawner, preset, **fields):
    form = {"--preset": [preset], **{name: [value] for name, value in fields.items()}}
    return await maybe_future(spawner.run_options_from_form(form))


async def test_without_javascript_a_chosen_preset_counts_and_not_the_fields():
    spawner = slurm()
    spawner.user_options = {"queue": "normal", "nprocs": "64"}
    chosen = {"queue": "debug", "nprocs": "2"}
    assert await read(spawner, "Small <1>", queue="normal", nprocs="9") == chosen
    assert await read(spawner, "--last", queue="debug") == {"queue": "normal", "nprocs": "64"}
    assert await read(spawner, "", queue="debug", nprocs="3") == {"queue": "debug", "nprocs": "3"}


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("Nobody's", "choose one of Small <1>, Too large, Not a field"),
        ("Too large", "choose from 1 to 4 with queue debug"),
        ("Not a field", "'prologue' is not allowed"),
    ],
)
async def test_a_preset_is_checked_like_anything_else(preset, message):
    with pytest.raises(OptionsRefused, match=re.escape(message)):
        await read(slurm(), preset)


async def test_a_last_choice_that_is_not_allowed_any_more_is_refused():
    spawner = slurm()
    spawner.user_options = {"queue": "gone"}
    with pytest.raises(OptionsRefused, match="choose one of debug, normal"):
        await read(spawner, "--last")


async def test_presets_choose_a_profile_and_cannot_change_what_it_sets():
    spawner = profiles()
    spawner.user_options = {"profile": "cluster", "queue": "normal"}
    small = {"profile": "cluster", "queue": "debug", "nprocs": "2"}
    assert listed(await spawner.get_options_form()) == {
        "--last": {"profile": "cluster", "queue": "normal"},
        "Small": small,
    }
    assert await read(spawner, "Small", profile="cluster") == small
    assert await read(spawner, "--last") == {"profile": "cluster", "queue": "normal"}
    with pytest.raises(OptionsRefused, match="'memory' is not allowed"):
        await read(spawner, "Pinned")
    with pytest.raises(OptionsRefused, match="there is no profile 'gone'"):
        await read(spawner, "Gone")
