"""A Hub that goes over from batchspawner 1.x and wrapspawner 1.x to this release, and back."""

from __future__ import annotations

import fcntl
import getpass
import os
import sys
import tempfile
from pathlib import Path

import jupyterhub
import pytest

from benchmarks.measuring import PEER, python_with
from tests.hub.alone import end_servers
from tests.hub.slurm_on_queue import SlurmOnQueue
from tests.hubs import Hub, wait_for

# Its jobs belong to whom the tests belong, as on the embedded queue.
USER = getpass.getuser()

# A server that waited for a report, or for its limits, would never be ready again in these tests.
COMMON = """
import os
import batchspawner
c.JupyterHub.allow_named_servers = True
c.Spawner.args = ["--allow-root"]
c.Spawner.env_keep = ["PATH", "LANG"]
c.BatchSpawnerBase.start_timeout = c.Spawner.start_timeout = 86400
c.Spawner.http_timeout = int(os.environ.get("HTTP_TIMEOUT", "240"))
c.BatchSpawnerBase.exec_prefix = ""
c.BatchSpawnerBase.req_homedir = {folder!r}
c.SlurmSpawner.req_srun = ""
"""
CONFIGS = {
    "SlurmSpawner": (
        f'{COMMON}c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"\n',
        {},
    ),
    "ProfilesSpawner": (
        COMMON
        + """
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.ProfilesSpawner.ip = "0.0.0.0"
c.ProfilesSpawner.profiles = [
    ("Here", "local", "jupyterhub.spawner.LocalProcessSpawner", {}),
    ("Cluster", "cluster", "batchspawner.SlurmSpawner", dict(req_partition="normal")),
]
""",
        {"profile": "cluster"},
    ),
}


@pytest.fixture(scope="session")
def old_python():
    """Python with the last releases of 1.x, and the JupyterHub of this one."""
    version = jupyterhub.__version__
    packages = (PEER, "wrapspawner==1.0.1", f"jupyterhub=={version}", "jupyter_server")
    with (Path(tempfile.gettempdir()) / f"batchspawner-old-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return python_with(packages, f".venv-1x-{version}")


@pytest.fixture
def slurm(tmp_path):
    one = SlurmOnQueue(tmp_path / "slurm")
    yield one
    one.drain()
    left = one.jobs()
    one.cancel(*left)
    assert left == {}


@pytest.fixture(params=CONFIGS)
def changing(request, slurm, tmp_path, old_python):
    """A Hub that is not started yet, and the options of its servers."""
    config, options = CONFIGS[request.param]
    ours = Path(sys.executable).parent
    # This Python's folder has the proxy and its node.
    path = os.pathsep.join([str(slurm.bin), os.environ["PATH"], str(ours)])
    hub = Hub(tmp_path, config.replace("{folder!r}", repr(str(tmp_path))), (USER,), PATH=path)
    yield hub, options
    try:
        slurm.drain()
        if hub.process is not None and hub.process.poll() is None:
            end_servers(hub)
    finally:
        hub.stop()


def go_over(hub: Hub, python: str) -> None:
    """Replace a running Hub by one of another release; its servers and its proxy go on."""
    hub.kill()
    hub.python = python
    hub.start()


def servers(hub: Hub) -> dict[str, bool]:
    """Return whether each server is ready, by its name."""
    found = hub.api("GET", f"users/{USER}").json()["servers"]
    return {name: one["ready"] for name, one in found.items()}


def url(name: str) -> str:
    return f"users/{USER}/servers/{name}" if name else f"users/{USER}/server"


def answers(hub: Hub, name: str) -> bool:
    path = f"user/{USER}/{name}/api/status" if name else f"user/{USER}/api/status"
    return hub.through_proxy(path).status_code == 200


def start_two(hub: Hub, options: dict) -> None:
    hub.add_users()
    for name in ("", "second"):
        assert hub.api("POST", url(name), json=options).status_code in (201, 202), hub.tail()
    wait_for(lambda: servers(hub) == {"": True, "second": True}, 60, f"servers; {hub.log}")


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_running_servers_stay_in_use(changing, slurm, old_python, direction):
    hub, options = changing
    before, after = old_python, sys.executable
    if direction == "downgrade":
        before, after = after, before
    hub.python = before
    hub.start()
    start_two(hub, options)
    jobs = slurm.jobs()
    go_over(hub, after)
    wait_for(lambda: servers(hub) == {"": True, "second": True}, 10, f"servers; {hub.log}")
    for name in ("", "second"):
        wait_for(lambda name=name: answers(hub, name), 10, f"the way to {name}; {hub.log}")
    assert slurm.jobs() == jobs
    # Stopped one by one, each ends its own job; and the user can start again.
    assert hub.api("DELETE", url("second")).status_code in (202, 204)
    wait_for(lambda: servers(hub) == {"": True} and len(slurm.jobs()) == 1, 30, "the end of one")
    assert answers(hub, "")
    hub.end(USER)
    wait_for(lambda: slurm.jobs() == {}, 30, "the end of its job")
    hub.begin(USER, options)
    hub.wait_ready(USER, 60)
    assert answers(hub, "")


def test_a_server_that_waited_under_1x_can_be_started_at_once(changing, slurm, old_python):
    hub, options = changing
    hub.python = old_python
    hub.start()
    hub.add_users()
    slurm.fill()
    hub.begin(USER, options)
    wait_for(lambda: list(slurm.jobs().values()) == ["PENDING"], 30, "a job that waits")
    waiting = list(slurm.jobs())
    go_over(hub, sys.executable)
    # 1.x has stored nothing of it.
    wait_for(lambda: servers(hub) == {}, 10, f"the end of the start; {hub.log}")
    slurm.cancel(*waiting)
    slurm.drain()
    hub.begin(USER, options)
    hub.wait_ready(USER, 60)
    assert answers(hub, "")


def test_a_server_that_waits_leaves_no_job_behind_when_1x_takes_over(changing, slurm, old_python):
    hub, options = changing
    hub.start()
    hub.add_users()
    slurm.fill()
    hub.begin(USER, options)
    wait_for(lambda: list(slurm.jobs().values()) == ["PENDING"], 30, "a job that waits")
    wait_for(lambda: "job_id" in str(hub.state(USER)), 30, "its id in the database")
    # How long 1.x looks for a server before it stops it; here none is there.
    hub.environment["HTTP_TIMEOUT"] = "5"
    go_over(hub, old_python)
    wait_for(lambda: servers(hub) == {}, 30, f"the end of the start; {hub.log}")
    wait_for(lambda: slurm.jobs() == {}, 30, "the end of its job")
