"""A Hub with an own account, by the rule that `batchspawner sudoers --scheduler` prints."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.hub.test_secrets import codes_of
from tests.hub.test_servers import first_events
from tests.real.launcher import HUB, MEMBERS, hubs_folder, rule_installed, unavailable
from tests.secrets.spying import CODE, Spies
from tests.sites import no_jobs_left, start_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hubs import Hub

CONFIG = """
for one in ("GridengineSpawner", "CondorSpawner"):
    c[one].pop("exec_prefix", None)
c.BatchSpawnerBase.exec_prefix = "sudo -n -E -u {username}"
"""


@pytest.fixture(autouse=True)
def _possible(site):
    if site.name not in ("gridengine", "htcondor"):
        pytest.skip(f"{site.name} shows environments to nobody")
    if unavailable():
        pytest.skip(f"no account for a Hub: {unavailable()}")


@contextlib.contextmanager
def ruled_hub(site, more: str = "", without: str = "") -> Iterator[Hub]:
    with rule_installed(site.name, site.environment, without):
        folder = hubs_folder()
        hub = start_hub(site, folder, CONFIG + more, account=HUB)
        try:
            yield hub
        finally:
            for user in MEMBERS:
                if hub.server(user):
                    hub.end(user)
            hub.stop()
            shutil.rmtree(folder)


def test_with_the_printed_rule_a_server_starts_and_nobody_else_sees_its_secrets(site):
    names = ("DB_PASS", "PGPASS", "MYSQL_PWD", "DATABASE_URL", "GITHUB_PAT", "JWT", "COLOUR")
    given = {name: secrets.token_hex(20) for name in names}
    user = MEMBERS[0]
    with ruled_hub(site, f"c.Spawner.environment = {given!r}\n") as hub:
        spies = Spies(site, *given.values())
        hub.begin(user)
        hub.wait_ready(user)
        (code,) = codes_of(hub, user)
        assert CODE.fullmatch(code)
        assert spies.look(hub.state(user)["job_id"], code) == []
        hub.end(user)
        no_jobs_left(site)


def test_without_the_line_for_the_private_file_no_server_starts_and_the_line_is_named(site):
    sh = shutil.which("sh")
    with ruled_hub(site, without=sh) as hub:
        user = MEMBERS[0]
        hub.begin(user)
        events = first_events(hub, user, lambda text: "failed" in text)
        line = f"{HUB} ALL=({user}) NOPASSWD:SETENV: {sh}"
        assert f"This line is missing in the rules of sudo: {line}" in events[-1]["message"]
        assert site.jobs() == []
