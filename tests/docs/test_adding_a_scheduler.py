"""Run the example of docs/adding-a-scheduler.md as its reader would: as another distribution."""

from __future__ import annotations

import configparser
import getpass
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hubs import Hub, proxy_command

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "spooler"
SETUP = """
from batchspawner.client.blocking_client import BlockingClient
from batchspawner.errors import OptionsError
from batchspawner.jobs import JobRequest, JobState
client = BlockingClient("spooler")
def submit(body, tag=""):
    return client.submit(JobRequest("#!/bin/sh\\n" + body, tag=tag))
"""

pytestmark = pytest.mark.skipif(
    not shutil.which("tsp"), reason="Task Spooler is not installed (apt-get install task-spooler)"
)


@pytest.fixture
def installed(tmp_path):
    """Return the environment of a machine on which the example is installed."""
    project = configparser.ConfigParser()
    project.read(EXAMPLE / "pyproject.toml")
    info = tmp_path / "site" / "batchspawner_spooler-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: batchspawner-spooler\nVersion: 1.0\n"
    )
    lines = []
    for section in project.sections():
        if section.startswith("project.entry-points."):
            lines.append(f"[{section.split('entry-points.')[1].strip(chr(34))}]")
            lines += [f"{key} = {value.strip(chr(34))}" for key, value in project[section].items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    shutil.copy(EXAMPLE / "spooler.py", tmp_path / "site")
    (tmp_path / "tmp").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "TS_SOCKET": str(tmp_path / "socket"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    subprocess.run(["tsp", "-S", "2"], env=environment, check=True)
    yield environment
    subprocess.run(["tsp", "-K"], env=environment, check=True)


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_at_the_end_of_the_page_print_what_they_say(installed):
    code = re.findall(
        r"```python\n(.*?)```", (DOCS / "adding-a-scheduler.md").read_text(), re.DOTALL
    )
    assert python(code[-1], installed) == "failed (exit status 3)\n"


def test_its_jobs_succeed_wait_are_found_and_cancelled(installed):
    code = """
print(client.wait(submit("true"), 0.2).describe())
one, two = submit("sleep 60", "tag-1"), submit("sleep 60")
three = submit("true")
print(client.status(one).host, client.status(three).describe())
print(client.find("tag-1") == [one], client.find("nothing"))
for job_id in (one, two, three):
    client.cancel(job_id)
print(client.wait(one, 0.2).describe(), "|", client.wait(three, 0.2).is_final)
client.cancel(one)
"""
    assert python(SETUP + code, installed).splitlines() == [
        "completed",
        "localhost pending (all slots are taken)",
        "True []",
        "cancelled | True",
    ]


@pytest.mark.skipif(not proxy_command(), reason="configurable-http-proxy is not installed")
@pytest.mark.hub
def test_a_hub_starts_servers_through_it(installed, tmp_path):
    page = (DOCS / "adding-a-scheduler.md").read_text()
    config = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    wanted = ("PYTHONPATH", "TS_SOCKET", "TMPDIR")
    environment = {name: installed[name] for name in wanted}
    more = 'c.Spawner.args = ["--allow-root"]\n'
    user = getpass.getuser()
    hub = Hub(tmp_path, config + more, (user,), **environment).start()
    try:
        hub.add_users()
        hub.begin(user)
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
        hub.end(user)
    finally:
        hub.stop()
