"""The embedded queue for several users: one account for all of them, or one each."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hubs import Hub, wait_for
from tests.real.users import USERS, make_users

ADA, BEN = USERS[:2]
CONFIG = """
c.JupyterHub.spawner_class = "localqueue"
"""
OWN_ACCOUNTS = 'c.LocalQueueSpawner.exec_prefix = "runuser -u {username} --"\n'
TOGETHER = "The servers of several users"


def as_user(name: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the account and the home of a user, as a login would."""
    command = ["runuser", "-u", name, "--", *argv]
    environment = {"HOME": pwd.getpwnam(name).pw_dir, "PATH": os.environ["PATH"]}
    return subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )


def jobs_of(name: str) -> list[dict]:
    """Return the jobs of a user that have not ended."""
    done = as_user(name, sys.executable, "-m", "batchspawner.localqueue", "query")
    return json.loads(done.stdout)["jobs"]


def end(hub: Hub) -> None:
    try:
        for name in hub.users:
            if hub.server(name):
                hub.end(name)
    finally:
        hub.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have jobs of several accounts")
@pytest.mark.skipif(not shutil.which("runuser"), reason="runuser is not installed")
def test_with_a_prefix_each_user_owns_their_jobs_and_reads_nothing_of_others(tmp_path):
    make_users()
    hub = Hub(tmp_path, CONFIG + OWN_ACCOUNTS, (ADA, BEN)).start()
    try:
        hub.add_users()
        for name in hub.users:
            hub.begin(name)
        for name in hub.users:
            hub.wait_ready(name)
            assert hub.kernels(name).status_code == 200
            (job,) = [one for one in jobs_of(name) if one["state"] == "RUNNING"]
            server = Path(pwd.getpwnam(name).pw_dir, ".local/state/batchspawner/queue/jobs")
            script = next((server / job["id"]).glob("script*"))
            assert script.owner() == name
            other = BEN if name == ADA else ADA
            assert as_user(other, "cat", str(script)).returncode != 0
            for secret in ("cookie_secret", "hub.sqlite", "jupyterhub_config.py"):
                assert (tmp_path / secret).exists()
                assert as_user(name, "cat", str(tmp_path / secret)).returncode != 0
            hub.end(name)
            wait_for(lambda name=name: jobs_of(name) == [], 30, "the end of the job")
        assert TOGETHER not in hub.log.read_text()
    finally:
        end(hub)


def test_the_log_warns_when_a_second_user_gets_the_account_of_the_first(tmp_path):
    queue = {"BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"), "BATCHSPAWNER_QUEUE_SLOTS": "3"}
    config = f"{CONFIG}c.LocalQueueSpawner.req_homedir = {str(tmp_path)!r}\n"
    config += 'c.Spawner.args = ["--allow-root"]\n'
    hub = Hub(tmp_path, config, ("ada", "ben", "cleo"), **queue).start()
    try:
        hub.add_users()
        hub.begin("ada")
        hub.wait_ready("ada")
        assert TOGETHER not in hub.log.read_text()
        for name in ("ben", "cleo"):
            hub.begin(name)
            hub.wait_ready(name)
        told = [line for line in hub.log.read_text().splitlines() if TOGETHER in line]
        assert len(told) == 1
        assert "(ada, ben)" in told[0]
        assert "c.LocalQueueSpawner.exec_prefix" in told[0]
    finally:
        end(hub)


def test_a_home_other_than_that_of_the_account_is_the_same_for_all_commands(tmp_path):
    hub = Hub(
        tmp_path, CONFIG + 'c.Spawner.args = ["--allow-root"]\n', ("ada",), HOME=str(tmp_path)
    )
    hub.start()
    try:
        hub.add_users()
        hub.begin("ada")
        hub.wait_ready("ada")
        assert (tmp_path / ".local/state/batchspawner/queue/jobs").is_dir()
    finally:
        end(hub)
