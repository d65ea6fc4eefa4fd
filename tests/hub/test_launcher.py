"""A Hub with an own account, which acts as its users through the launcher only."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchspawner.cli.sudoers import LAUNCHER
from batchspawner.jobs import JobRequest
from tests.hub.test_servers import first_events
from tests.hubs import wait_for
from tests.real.launcher import HUB, MEMBERS, OUTSIDER, as_hub, hubs_folder, installed, unavailable
from tests.sites import no_jobs_left, start_hub
from tests.test_launcher_hostile import HOSTILE, KEYS, VERBS

# All that a site needs to say; what our sites say of exec_prefix is for Hubs that run as root.
CONFIG = f"""
for one in ("GridengineSpawner", "CondorSpawner", "OarSpawner"):
    c[one].pop("exec_prefix", None)
c.BatchSpawnerBase.launcher = {LAUNCHER!r}
c.BatchSpawnerBase.orphan_grace = 2

def hook(spawner):
    from pathlib import Path
    spawner.req_prologue = Path("prologue").read_text() if Path("prologue").exists() else ""

c.Spawner.pre_spawn_hook = hook
"""


@pytest.fixture(scope="module")
def launcher(site):
    if site.name == "local":
        pytest.skip("the embedded queue is one user's own")
    if unavailable():
        pytest.skip(f"no launcher: {unavailable()}")
    with installed(site.name, site.environment):
        yield


@pytest.fixture(scope="module")
def folder(launcher):
    one = hubs_folder()
    yield one
    shutil.rmtree(one)


@pytest.fixture(scope="module")
def own_hub(folder, site):
    hub = start_hub(site, folder, CONFIG, account=HUB)
    yield hub
    hub.stop()


@pytest.fixture
def hub(own_hub):
    yield own_hub
    for user in own_hub.users:
        if own_hub.server(user):
            own_hub.end(user)


# Each of them lacks something, or has a value that is none.
REQUESTS = st.dictionaries(KEYS, VERBS | HOSTILE) | st.fixed_dictionaries(
    {"verb": st.sampled_from(["cancel", "tail-log"]), "job_id": HOSTILE.filter(lambda one: one)}
)


def ask(user: str, request: dict) -> tuple[int, str]:
    """Send the launcher a request as the Hub would, and return its exit status and output."""
    done = as_hub("sudo", "-n", "-u", user, LAUNCHER, text=json.dumps(request))
    return done.returncode, done.stderr


def test_servers_of_users_run_and_end_through_the_launcher(hub, site):
    for user in MEMBERS:
        hub.begin(user)
    for user in MEMBERS:
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
    owners = sorted(owner for _, owner, state in site.jobs() if state == "RUNNING")
    assert owners == sorted(MEMBERS)
    for user in MEMBERS:
        hub.end(user)
    no_jobs_left(site)


def test_the_check_finds_nothing_wrong_and_its_job_has_ended(hub, site):
    command = ["batchspawner.cli", "check", "--json", "--user", MEMBERS[0]]
    path = site.environment.get("PATH", os.environ["PATH"])
    done = as_hub(
        sys.executable,
        *("-m", *command, "-f", str(hub.folder / "jupyterhub_config.py")),
        **{**site.environment, "PATH": os.pathsep.join([str(Path(sys.executable).parent), path])},
    )
    findings = json.loads(done.stdout)["findings"]
    assert [one for one in findings if one["verdict"] == "wrong"] == []
    assert "cancel" in {one["name"] for one in findings}
    no_jobs_left(site)


def test_a_user_outside_of_the_group_gets_no_server_and_reads_why(hub):
    hub.begin(OUTSIDER)
    events = first_events(hub, OUTSIDER, lambda text: "failed" in text)
    assert f"Sudo does not let the Hub run {LAUNCHER} as {OUTSIDER}" in events[-1]["message"]


def test_a_user_reads_the_end_of_a_log_that_the_hub_may_not_read(hub):
    user = MEMBERS[0]
    home = Path(pwd.getpwnam(user).pw_dir)
    mode = home.stat().st_mode
    home.chmod(0o700)
    prologue = hub.folder / "prologue"
    try:
        # Many schedulers have one log for all of a user's servers.
        for said, before in (("no such module", ""), ("no licence is left", "no such module")):
            prologue.write_text(f"echo {said} >&2; exit 3")
            hub.begin(user)
            events = first_events(hub, user, lambda text: "Spawn failed" in text)
            assert said in events[-1]["html_message"]
            assert not before or before not in events[-1]["html_message"]
    finally:
        home.chmod(mode)
        prologue.unlink()


def test_a_lost_job_is_cancelled_through_the_launcher(hub, site):
    lost, other = MEMBERS
    hub.begin(lost)
    hub.wait_ready(lost)
    job_id = hub.state(lost)["job_id"]
    hub.kill()
    hub.forget(lost)
    hub.start()
    hub.begin(other)
    hub.wait_ready(other)
    wait_for(lambda: job_id not in {one for one, _, _ in site.jobs()}, 40, "the end of the job")


@pytest.mark.parametrize(
    "argv",
    [
        ["-u", MEMBERS[0], "id"],
        ["-u", MEMBERS[0], LAUNCHER, "--help"],
        ["-u", MEMBERS[0], "-E", LAUNCHER],
        ["-u", MEMBERS[0], "PYTHONSTARTUP=/tmp/x", LAUNCHER],
        ["-u", OUTSIDER, LAUNCHER],
        ["-u", "root", LAUNCHER],
        [LAUNCHER],
    ],
    ids=" ".join,
)
def test_sudo_lets_the_hub_do_nothing_else(launcher, argv):
    done = as_hub("sudo", "-n", *argv)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sudo: ")


async def test_a_job_that_is_not_the_hubs_is_left_alone(launcher, site, monkeypatch):
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    own = site.client()  # of the first member, without the launcher
    # As where it is submitted from a notebook, with all that is in its environment.
    outer = {"OUTER_JOB_NAME": "jh-0123456789ab"}
    job_id = await own.submit(JobRequest(site.script("sleep 600"), "", outer, site.quiet))
    try:
        status, said = ask(MEMBERS[0], {"verb": "cancel", "job_id": job_id})
        assert (status, said) == (
            77,
            f"batchspawner-launcher: job {job_id} does not carry the Hub's tag\n",
        )
        assert ask(MEMBERS[1], {"verb": "cancel", "job_id": job_id})[0] != 0
        assert job_id in {one for one, _, _ in site.jobs()}
    finally:
        await own.cancel(job_id)
    no_jobs_left(site)


def test_hostile_requests_start_no_job(launcher, site):
    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(REQUESTS)
    def refused(request):
        status, said = ask(MEMBERS[0], request)
        assert (status, said[:23]) == (77, "batchspawner-launcher: ")

    refused()
    assert site.jobs() == []
