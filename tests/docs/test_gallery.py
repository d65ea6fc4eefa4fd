"""The sites of docs/gallery.md: each is loaded, gives its job scripts, and passes the check.

`BATCHSPAWNER_GOLDEN=1 pytest tests/docs/test_gallery.py` writes the scripts again.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub.app import JupyterHub

from batchspawner.checking.findings import Verdict
from batchspawner.checking.site_check import Request, check_site
from batchspawner.spawners.options import queue_info
from tests.spawners.site import OWNER, make_spawner
from wrapspawner import ProfilesSpawner

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "gallery.md").read_text(encoding="utf-8")
GOLDEN = PROJECT / "tests" / "golden" / "sites"
SITES = sorted((PROJECT / "docs" / "examples" / "sites").glob("*.py"))

OF_THE_MACHINE = ("commands", "rights", "scheduler")
GROUPS = ("gpu-users", "gpu", "stat-101", "chem-230")
CHOICES = {
    "national_slurm": {"account": "m1234"},
    "climate_pbs": {"account": "ABCD0001"},
    "genomics_lsf": {"account": "cancer-12"},
}
"""What a user has to choose at a site, because there is no default."""


@pytest.fixture(autouse=True)
def _one_user(monkeypatch):
    """Everybody is the same user, and no scheduler of this machine is asked."""
    entry = SimpleNamespace(
        pw_name="alice", pw_dir="/home/alice", pw_shell="/bin/bash", pw_uid=1000, pw_gid=1000
    )
    monkeypatch.setattr("pwd.getpwnam", lambda _: entry)
    monkeypatch.setattr(queue_info, "scheduler_names", list)


def site_spawner(site: Path):
    """Return the spawner that a Hub would make for a user who is in all groups."""
    app = JupyterHub()
    app.load_config_file(str(site))
    spawner = make_spawner(app.spawner_class, dict(app.config))
    groups = [SimpleNamespace(name=name) for name in GROUPS]
    spawner.user = SimpleNamespace(**{**vars(spawner.user), "groups": groups})
    return spawner


async def scripts(site: Path) -> str:
    """Return the job script of each profile of a site, with the defaults of its form."""
    spawner = site_spawner(site)
    if not isinstance(spawner, ProfilesSpawner):
        await spawner.take_options(CHOICES.get(site.stem, {}))
        return await script(spawner)
    found = []
    for profile in await spawner.known_profiles():
        one = site_spawner(site)
        needed = CHOICES.get(site.stem, {})
        await one.take_options({"profile": profile.slug, **needed})
        found.append(f"##### {profile.slug}\n{await script(one.child_spawner)}")
    return "\n".join(found)


async def script(spawner) -> str:
    variables = {**spawner.script_variables(), "keepvars": "PATH", "path": ""}
    return await spawner._get_batch_script(**variables)


def test_there_are_ten_sites_and_each_is_on_the_page():
    shown = re.findall(r"(?m)^```\{literalinclude\} examples/sites/(\w+)\.py$", PAGE)
    assert sorted(shown) == [site.stem for site in SITES]
    assert len(SITES) == 10


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.stem)
async def test_a_site_gives_its_scripts(site, caplog):
    caplog.set_level(logging.WARNING)
    text = await scripts(site)
    file = GOLDEN / f"{site.stem}.sh"
    if os.environ.get("BATCHSPAWNER_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
    # traitlets warns of a trait that does not exist.
    assert [one.message for one in caplog.records if "not recognized" in one.message] == []


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.stem)
async def test_the_check_finds_no_mistake_in_a_site(site, tmp_path):
    spawner, needed = site_spawner(site), CHOICES.get(site.stem, {})
    several = isinstance(spawner, ProfilesSpawner)
    keys = [one.slug for one in await spawner.known_profiles()] if several else [""]
    for key in keys:
        request = Request(site, OWNER, 10.0, job=False, profile=key, options=needed)
        found = [one async for one in check_site(request)]
        assert (found[0].name, found[0].verdict) == ("configuration", Verdict.OK)
        wrong = {one.name: one.text for one in found if one.verdict is Verdict.WRONG}
        # This machine has not the scheduler of the site, nor its accounts.
        assert {name: text for name, text in wrong.items() if name not in OF_THE_MACHINE} == {}
