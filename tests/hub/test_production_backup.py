"""The backup of docs/production.md with a real PostgreSQL, which asks for passwords."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.alone import end_servers
from tests.hubs import wait_for
from tests.postgresql import PostgreSQL, unavailable
from tests.sites import ids, no_jobs_left, start_hub

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = DOCS / "examples" / "production" / "backup.py"

pytestmark = [
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
    pytest.mark.parametrize("site", ["local"], indirect=True),
]


@pytest.fixture
def postgresql():
    """A PostgreSQL of its own with an empty database of a Hub."""
    one = PostgreSQL()
    try:
        one.start()
        yield one
    finally:
        one.stop()


def backed_up(hub, url: str) -> str:
    """Return the file of a backup that was made while the Hub runs."""
    (hub.folder / "etc").mkdir()
    (hub.folder / "launcher.json").write_text("{}")
    filled = {
        "DATABASE": url,
        "ETC": str(hub.folder / "etc"),
        "STATE": str(hub.folder),
        "BACKUPS": str(hub.folder),
        "BACKUPS_KEPT": "3",
        "PREFIX": str(hub.folder),
    }
    text = SCRIPT.read_text().replace("/etc/batchspawner", str(hub.folder))
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    done = subprocess.run(
        [sys.executable, "-"], input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def restore(server: PostgreSQL, backup: str, folder: Path) -> None:
    """Run the commands of the page that unpack a backup, and restore its database."""
    page = (DOCS / "production.md").read_text("utf-8").partition("## Backup, and restore")[2]
    # A command goes on in the next line after a backslash.
    commands = re.findall(r"(?m)^ +\$ ((?:.*\\\n)*.*)$", page)
    unpacking = [one for one in commands if one.startswith(("mkdir", "tar"))]
    database = [one for one in commands if one.startswith(("dropdb", "createdb", "psql"))]
    assert (len(unpacking), len(database)) == (2, 3)
    for command in (*unpacking, *database):
        archive = "/var/backups/jupyterhub/2026-11-30T031500.tar.gz"
        address = f"127.0.0.1 --port={server.port}"
        line = command.replace(archive, backup).replace("db.example.org", address)
        server.as_reader(line, folder)


def test_a_hub_whose_postgresql_was_restored_knows_its_servers_again(site, postgresql, tmp_path):
    config = f"c.JupyterHub.db_url = {postgresql.url!r}\nc.BatchSpawnerBase.orphan_grace = 2\n"
    hub = start_hub(site, tmp_path / "hub", config)
    runs, waits, later = hub.users[:3]
    try:
        hub.begin(runs)
        hub.wait_ready(runs)
        (known,) = ids(site)
        site.fill()
        before = ids(site)
        hub.begin(waits)
        wait_for(lambda: ids(site) > before, 60, "the job that waits")
        (waiting,) = ids(site) - before
        backup = backed_up(hub, postgresql.url)
        hub.begin(later)
        wait_for(lambda: ids(site) > before | {waiting}, 60, "a job after the backup")
        (unknown,) = ids(site) - before - {waiting}
        hub.kill()

        restore(postgresql, backup, tmp_path)
        hub.start()
        assert hub.kernels(runs).status_code == 200
        assert hub.server(runs)["ready"]
        assert not hub.server(later)
        wait_for(lambda: unknown not in ids(site), 60, "the end of the job after the backup")
        site.drain()
        hub.wait_ready(waits)
        assert hub.kernels(waits).status_code == 200
        assert ids(site) == {known, waiting}
        end_servers(hub)
    finally:
        site.drain()
        hub.stop()
    no_jobs_left(site)
