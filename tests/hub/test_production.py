"""What docs/production.md installs: the script is run as root, and what it sets up serves users."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hub.production import ACCOUNT, GROUP, PROJECT, TOKEN, Production, removed
from tests.hubs import wait_for
from tests.real.launcher import MEMBERS, OUTSIDER, alone, run, unavailable
from tests.real.users import make_users, missing
from tests.sites import no_jobs_left

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "let-me-in"
UNAVAILABLE = missing("the script", "sudo", "visudo", "useradd", "npm", "nginx", "openssl")

pytestmark = [
    pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE),
    pytest.mark.parametrize("site", ["slurm"], indirect=True),
]

# What a site would write into its own file.
SITE = f"""
c = get_config()
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {PASSWORD!r}
c.Authenticator.allow_all = True
c.JupyterHub.services.append({{"name": "tests", "api_token": {TOKEN!r}}})
c.JupyterHub.load_roles.append({{
    "name": "tests", "services": ["tests"],
    "scopes": ["admin:users", "admin:servers", "access:servers", "list:services"],
}})
c.SlurmSpawner.req_memory = "400M"
c.SlurmSpawner.req_runtime = "0:20:00"
c.SlurmSpawner.trust_reported_host = True
c.Spawner.start_timeout = 600
c.Spawner.environment = {{"JUPYTERHUB_ACTIVITY_INTERVAL": "2"}}
"""


def test_the_script_sets_up_a_hub_that_serves_and_can_be_upgraded(production, site):
    user = MEMBERS[0]
    assert production.refused_python() == (
        f"install.sh: the account {ACCOUNT} cannot run PYTHON: "
        "set PYTHON to one that all users can run\n"
    )
    assert production.install()
    for one in MEMBERS:
        run("usermod", "-a", "-G", GROUP, one)
    Path(production.settings["ETC"], "site.py").write_text(SITE)
    assert production.install() == []

    units = sorted(map(str, Path(production.settings["UNITS"]).iterdir()))
    assert [Path(one).name for one in units] == [
        "jupyterhub-backup.service",
        "jupyterhub-backup.timer",
        "jupyterhub-proxy.service",
        "jupyterhub.service",
    ]
    if shutil.which("systemd-analyze"):
        run("systemd-analyze", "verify", "--man=no", *units)

    production.serve()
    production.begin(user).raise_for_status()
    wait_for(lambda: production.has_server(user), 120, "the server")
    assert [owner for _, owner, _ in site.jobs()] == [user]
    checked(production, MEMBERS[1])
    refused(production, OUTSIDER)
    backup = backed_up(production, user)
    restored(production, backup, user)

    # Users work while the Hub is upgraded.
    production.stop("jupyterhub")
    assert production.has_server(user)
    etc, opt = production.settings["ETC"], production.settings["PREFIX"]
    said = production.install(RELEASE="second", CULL_AFTER_S="3600")
    nodes = production.settings["NODES"]
    assert said == [
        f"{opt}/releases/second",
        f"{opt}/releases/second/bin/configurable-http-proxy",
        f"{nodes}/second",
        f"{opt}/current -> releases/second",
        f"{nodes}/current -> second",
        f"{etc}/jupyterhub_config.py",
    ]
    upgraded = production.as_hub("jupyterhub", "upgrade-db")
    assert upgraded.returncode == 0, upgraded.stderr
    production.start("jupyterhub")
    production.wait()
    assert production.has_server(user)

    # An earlier release is installed already.
    assert production.install(RELEASE="first", CULL_AFTER_S="10") == [
        f"{opt}/current -> releases/first",
        f"{nodes}/current -> first",
        f"{etc}/jupyterhub_config.py",
    ]
    production.stop("jupyterhub")
    production.start("jupyterhub")
    production.wait()
    wait_for(lambda: not production.server(user), 120, "the end of a server that nobody uses")
    no_jobs_left(site)


def checked(production: Production, user: str) -> None:
    """Check that `batchspawner check` finds nothing wrong, with a job of a user."""
    done = production.as_hub("batchspawner", "check", "--user", user, "--json")
    findings = json.loads(done.stdout)["findings"]
    assert [one for one in findings if one["verdict"] == "wrong"] == []
    assert [one["text"] for one in findings if one["name"] == "rights"] == [
        f"commands run as {user}, through the launcher; only queries run as the user of the Hub"
    ]
    assert done.returncode == 0


def refused(production: Production, user: str) -> None:
    """Check that somebody outside of the group gets no server."""
    production.begin(user)
    wait_for(lambda: not production.server(user), 60, "the refusal")
    log = (production.prefix / "jupyterhub.log").read_text()
    assert f"Sudo does not let the Hub run /usr/local/sbin/batchspawner-launcher as {user}" in log


def backed_up(production: Production, user: str) -> str:
    """Return a backup that has all that a Hub needs and is private; an old one has gone."""
    folder = Path(production.settings["BACKUPS"])
    for name in ("2020-01-01T000000", "2020-01-02T000000"):
        (folder / f"{name}.tar.gz").touch()
    said = run(*shlex.split(production.unit("jupyterhub-backup")["ExecStart"])).strip()
    assert sorted(map(str, folder.iterdir())) == [str(folder / "2020-01-02T000000.tar.gz"), said]
    assert (Path(said).stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    unpacked = production.prefix / "unpacked"
    with tarfile.open(said) as tar:
        tar.extractall(unpacked, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
    found = sorted(str(one.relative_to(unpacked)) for one in unpacked.rglob("*"))
    assert found == [
        "cookie_secret",
        "etc",
        "etc/hub.env",
        "etc/jupyterhub_config.py",
        "etc/nginx.conf",
        "etc/secrets.env",
        "etc/site.py",
        "jupyterhub.sqlite",
        "launcher.json",
        "release",
    ]
    with contextlib.closing(sqlite3.connect(unpacked / "jupyterhub.sqlite")) as db:
        assert (user,) in db.execute("select name from users").fetchall()
    return said


def restored(production: Production, backup: str, user: str) -> None:
    """Check that a Hub whose files are lost is as before once the page's commands have run."""
    production.stop("jupyterhub")
    etc, state = Path(production.settings["ETC"]), Path(production.settings["STATE"])
    secrets = (etc / "secrets.env").read_text()
    for file in (etc / "secrets.env", etc / "site.py", *state.glob("jupyterhub.sqlite*")):
        file.unlink()
    (state / "cookie_secret").unlink()
    # On a new machine, the script makes other secrets and the example of the site's file.
    production.install()
    owners = {one.name: (one.owner(), one.group(), one.stat().st_mode) for one in etc.iterdir()}
    assert (etc / "secrets.env").read_text() != secrets
    page = (PROJECT / "docs" / "production.md").read_text()
    block = page.partition("## Backup, and restore")[2].partition("```console")[2]
    places = {
        "/etc/jupyterhub": str(etc),
        "/var/lib/jupyterhub": str(state),
        "/var/backups/jupyterhub/2026-11-30T031500.tar.gz": backup,
        "-o jupyterhub -g jupyterhub": f"-o {ACCOUNT} -g {ACCOUNT}",
    }
    for line in re.findall(r"\$ (.+)", block.partition("```")[0]):
        for there, here in places.items():
            line = line.replace(there, here)
        if not line.startswith("systemctl"):
            subprocess.run(line, shell=True, check=True, cwd=production.prefix, timeout=60)
    assert (etc / "secrets.env").read_text() == secrets
    found = {one.name: (one.owner(), one.group(), one.stat().st_mode) for one in etc.iterdir()}
    assert found == owners
    assert production.install() == []
    production.start("jupyterhub")
    production.wait()
    assert production.server(user)["ready"]
    assert production.has_server(user)


@pytest.fixture
def production(site) -> Iterator[Production]:
    """What a machine needs for the script; all of it is removed after the test."""
    make_users()
    with alone():
        assert not unavailable()
        one = Production(f"SLURM_CONF={site.environment['SLURM_CONF']}")
        try:
            one.prepare()
            yield one
        finally:
            removed(one)
