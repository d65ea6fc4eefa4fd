"""A site with a scheduler of its own, whose jobs belong to its users."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import batchspawner.singleuser
from batchspawner.checking.findings import Verdict
from batchspawner.checking.site_check import Request, collect
from tests.checking.conftest import SERVER
from tests.ports import free_port

pytestmark = pytest.mark.hub


def can_run_python(user: str) -> bool:
    """Return whether the owner of a job can run this Python; it may lie in root's home."""
    run = ["sudo", "-n", "-u", user, sys.executable, "-V"]
    return subprocess.run(run, capture_output=True).returncode == 0


@pytest.fixture
def public():
    """A folder of programs that every user may run."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        wrapper = Path(batchspawner.singleuser.__file__).read_text()
        programs = {"server": SERVER, "batchspawner-singleuser": "#!/usr/bin/python3\n" + wrapper}
        for program, text in programs.items():
            (folder / program).write_text(text.replace(sys.executable, "/usr/bin/python3"))
            (folder / program).chmod(0o755)
        yield folder


@pytest.fixture
def findings(site, tmp_path, monkeypatch, public):
    """Check a real site with more lines of configuration."""

    def check(*lines: str) -> dict[str, list]:
        file = tmp_path / "jupyterhub_config.py"
        frame = [
            "c = get_config()",
            "c.JupyterHub.cleanup_servers = False",
            f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{free_port()}'",
            # Any user can run it.
            f"c.Spawner.cmd = [{str(public / 'server')!r}]",
            f"c.BatchSpawnerBase.batchspawner_singleuser_cmd = '{public}/batchspawner-singleuser'",
        ]
        config = site.config.replace("{folder!r}", repr(str(tmp_path)))
        file.write_text("\n".join([*frame, config, *lines]))
        for name, value in site.environment.items():
            monkeypatch.setenv(name, value)
        folder = Path(sys.executable).parent
        path = site.environment.get("PATH", os.environ["PATH"])
        monkeypatch.setenv("PATH", f"{path}:{folder}")
        found = asyncio.run(collect(Request(file, site.users[0], 90)))
        return {
            verdict.value: [one for one in found if one.verdict is verdict] for verdict in Verdict
        }

    return check


def test_everything_works(site, findings):
    if site.name == "local":
        pytest.skip("its jobs belong to whoever runs the tests; see test_broken_sites")
    found = findings()
    assert (found["wrong"], found["skipped"]) == ([], [])
    assert {one.name for one in found["ok"]} > {"rights", "submit", "hub", "visit", "cancel"}
    assert site.jobs() == []


def test_a_partition_that_does_not_exist_is_named(site, findings):
    if site.name != "slurm":
        pytest.skip("Slurm's word for a queue")
    (one,) = findings("c.SlurmSpawner.req_partition = 'nowhere'")["wrong"]
    assert one.name == "submit"
    assert "invalid partition specified: nowhere" in one.text
    assert one.cure.startswith("c.SlurmSpawner.req_partition = 'nowhere'   (is it right?)")
