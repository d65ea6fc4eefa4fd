"""A site with profiles: each of them is checked, with the options that its users choose."""

from __future__ import annotations

import pytest

# Each of them runs jobs: they are no unit tests.
pytestmark = pytest.mark.hub

PROFILES = """
c.JupyterHub.spawner_class = 'wrapspawner.ProfilesSpawner'
c.ProfilesSpawner.profiles = [
    ("Here", "here", "jupyterhub.spawner.LocalProcessSpawner", {}),
    ("Small", "small", "batchspawner.LocalQueueSpawner", {"req_nprocs": "1"}),
    ("Large", "large", "batchspawner.LocalQueueSpawner", {"req_nprocs": "100000"}),
]
"""

FIELDS = """
c.JupyterHub.spawner_class = 'wrapspawner.ProfilesSpawner'
c.ProfilesSpawner.profiles = [
    {"display_name": "A", "slug": "a", "spawner": "localqueue", "users": ["nobody"]},
    {"display_name": "B", "slug": "b", "spawner": "localqueue",
     "profile_options": {"size": {"display_name": "Size", "choices": {
         "one": {"display_name": "1", "default": True, "override": {"req_nprocs": "1"}},
         "many": {"display_name": "all", "override": {"req_nprocs": "100000"}}}}}},
]
"""


def verdicts(found: list[dict], name: str) -> dict[str, str]:
    return {one["profile"]: one["verdict"] for one in found if one["name"] == name}


def test_every_profile_is_checked(place):
    place.lines.append(PROFILES)
    found = place.findings()
    assert verdicts(found, "profile") == {"here": "skipped"}
    assert verdicts(found, "submit") == {"small": "ok", "large": "wrong"}
    assert verdicts(found, "page") == {"small": "ok", "large": "skipped"}


def test_one_profile_is_checked(place):
    place.lines.append(PROFILES)
    found = place.findings(profile="small")
    assert {one["profile"] for one in found} == {"", "small"}
    assert [one for one in found if one["verdict"] in ("wrong", "skipped")] == []


def test_a_profile_that_does_not_exist(place):
    place.lines.append(PROFILES)
    one = place.wrong(profile="smal")
    assert one["text"] == "there is no profile smal; the profiles are here, small, large"


def test_profiles_are_checked_with_the_options_of_a_user(place):
    place.lines.append(FIELDS)
    found = place.findings()
    assert verdicts(found, "profile") == {"a": "skipped"}
    assert verdicts(found, "submit") == {"b": "ok"}
    chosen = place.findings(profile="b", options={"size": "many"})
    assert verdicts(chosen, "submit") == {"b": "wrong"}
    refused = place.wrong(profile="b", options={"size": "huge"})
    assert refused["name"] == "options"
    assert "huge" in refused["text"]


def test_options_need_a_profile(place):
    place.lines.append(FIELDS)
    assert place.wrong(options={"size": "many"})["text"].startswith("--option needs --profile")


def test_the_command_line_has_profile_and_option(place):
    place.lines.append(FIELDS)
    done = place.call("--no-job", "--profile", "b", "--option", "size=one")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok      b: script: the job script was rendered" in done.stdout
