"""Who can read the secrets of a server: its owner and the Hub, on every scheduler."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hubs import wait_for
from tests.sites import no_jobs_left, start_hub

SPY = Path(__file__).with_name("spy.py")
CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-[0-9]+")

# What a curious user asks the scheduler.
QUESTIONS = {
    "local": ["{python} -m batchspawner.localqueue query"],
    "slurm": [
        "squeue -a -o %all", "scontrol show job -dd {job}", "scontrol write batch_script {job} -",
        "scontrol listpids {job}", "sacct -a -P -o ALL -j {job}", "sstat -a -P -j {job}",
    ],
    "gridengine": [
        "qstat -j {job}", "qstat -xml -j {job}", "qstat -f -r -ext -u *", "qacct -j {job}",
    ],
    "htcondor": [
        "condor_q -allusers -long", "condor_q -allusers -xml", "condor_history -long {job}",
        "condor_status -long", "condor_who -long",
    ],
    "oar": ["oarstat -f -j {job}", "oarstat -f -J", "oarstat -p -j {job}", "oarstat --sql id>0"],
}  # fmt: skip


class Spy:
    """Another user who looks at everything."""

    def __init__(self, site, *known: str):
        self.site, self.known = site, known
        self.process: subprocess.Popen | None = None

    def begin(self, job: str = "0", *more: str) -> None:
        words = {"python": sys.executable, "job": job.split(";")[0]}
        commands = [[w.format(**words) for w in q.split()] for q in QUESTIONS[self.site.name]]
        order = {"secrets": [*self.known, *more], "folders": folders(self.site),
                 "commands": commands}  # fmt: skip
        self.process = subprocess.Popen(
            [*other_user(self.site), sys.executable, SPY], cwd="/", text=True,
            env={**os.environ, **self.site.environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def end(self) -> list[str]:
        """Return where there were secrets."""
        out, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        self.process = None
        return json.loads(out)

    def stop(self) -> None:
        if self.process is not None:
            self.process.communicate(timeout=120)

    def look(self, *how: str) -> list[str]:
        self.begin(*how)
        return self.end()


def other_user(site) -> list[str]:
    if os.geteuid() != 0:
        pytest.skip("only root can look with the eyes of another user")
    if site.name == "local":
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return ["sudo", "-E", "-u", site.users[2], "env", f"PATH={_path(site)}"]


def _path(site) -> str:
    return site.environment.get("PATH", os.environ["PATH"])


def folders(site) -> list[str]:
    if site.name == "local":
        return [str(site.queue_folder)]
    cluster = site.cluster
    own = getattr(cluster, "prefix", None) or cluster.folder
    return [str(own), *(f"/home/{user}" for user in site.users), "/var/tmp"]


def environments_of(user: str) -> list[dict[str, str]]:
    """Return, with the eyes of root, the environments of a user's server and of its job."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            lines = path.read_bytes().decode("utf-8", "replace").split("\0")
            found.append(dict(line.split("=", 1) for line in lines if "=" in line))
    return [one for one in found if one.get("JUPYTERHUB_USER") == user]


def test_nobody_else_sees_a_secret_and_no_log_holds_one(site, tmp_path):
    password = secrets.token_hex(20)
    hub = start_hub(site, tmp_path, f'c.Spawner.environment = {{"DB_PASSWORD": "{password}"}}\n')
    user, spy = hub.users[0], Spy(site, password)
    try:
        spy.begin()
        hub.begin(user)
        hub.wait_ready(user)
        assert spy.end() == []
        tokens = {one["JUPYTERHUB_API_TOKEN"] for one in environments_of(user)
                  if one.get("DB_PASSWORD") == password}  # fmt: skip
        (token,) = {token for token in tokens if not CODE.fullmatch(token)}
        job = hub.state(user)["job_id"]
        assert spy.look(job, token) == []
        hub.end(user)
        no_jobs_left(site)
        assert spy.look(job, token) == []
        log = hub.log.read_text()
        assert "submitted job" in log
        assert [secret for secret in (password, token) if secret in log] == []
        assert CODE.findall(log) == []
    finally:
        spy.stop()
        hub.stop()


def test_the_search_finds_what_the_environment_would_show(site, tmp_path):
    if site.name not in ("gridengine", "htcondor"):
        pytest.skip(f"{site.name} shows environments to nobody")
    hub = start_hub(site, tmp_path, 'c.BatchSpawnerBase.secret_transport = "environment"\n')
    user, spy = hub.users[0], Spy(site)
    try:
        hub.begin(user)
        hub.wait_ready(user)
        (token,) = {one["JUPYTERHUB_API_TOKEN"] for one in environments_of(user)
                    if one["JUPYTERHUB_API_URL"].startswith(hub_url(hub))}  # fmt: skip
        seen = spy.look(hub.state(user)["job_id"], token)
        assert any(place.startswith(("qstat -j", "condor_q")) for place in seen)
        assert "can be read by" in hub.log.read_text()
        hub.end(user)
        no_jobs_left(site)
    finally:
        hub.stop()


def hub_url(hub) -> str:
    return f"http://127.0.0.1:{hub.hub_port}/"


def test_a_code_is_of_no_use_to_who_has_it_after_all(site, tmp_path):
    hub = start_hub(site, tmp_path, 'c.BatchSpawnerBase.second_claim = "cancel"\n')
    user = hub.users[1]
    try:
        hub.begin(user)
        hub.wait_ready(user)
        codes = {one["JUPYTERHUB_API_TOKEN"] for one in environments_of(user)
                 if one["JUPYTERHUB_API_URL"].startswith(hub_url(hub))}  # fmt: skip
        # The job's shell has it, or a file in the home.
        (code,) = set(filter(CODE.fullmatch, codes)) or codes_in_home(user)
        body = {"port": 4321, "claim": "0" * 32}
        assert hub.api("POST", "batchspawner", token=code, json=body).status_code == 403
        wait_for(lambda: "was used a second time" in hub.log.read_text(), 10, "the alarm")
        hub.wait_stopped(user, 60)
    finally:
        hub.stop()
    no_jobs_left(site)


def codes_in_home(user: str) -> list[str]:
    """Return the code that was put into the user's home last."""
    files = [file for file in Path(f"/home/{user}/.batchspawner").glob("jh-*") if file.is_file()]
    newest = sorted(files, key=lambda file: file.stat().st_mtime)[-1:]
    return [json.loads(file.read_text())["JUPYTERHUB_API_TOKEN"] for file in newest]
