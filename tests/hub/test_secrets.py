"""Who can read the secrets of a server: its owner and the Hub, on every scheduler."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hub.alone import own_hub
from tests.hubs import wait_for
from tests.secrets.spying import CODE, Spies, others
from tests.sites import no_jobs_left

if TYPE_CHECKING:
    from tests.hubs import Hub


def environments_of(user: str, hub: Hub | None = None) -> list[dict[str, str]]:
    """Return the environments of a user's server and of its job, which root can read."""
    address = f"http://127.0.0.1:{hub.hub_port}/" if hub else ""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            lines = path.read_bytes().decode("utf-8", "replace").split("\0")
            found.append(dict(line.split("=", 1) for line in lines if "=" in line))
    return [
        one
        for one in found
        if one.get("JUPYTERHUB_USER") == user
        and one.get("JUPYTERHUB_API_URL", "").startswith(address)
    ]


@pytest.mark.parametrize("transport", ["claim", "file"])
def test_nobody_else_sees_a_secret_and_no_log_holds_one(site, tmp_path, transport):
    if transport == "file" and site.name not in ("local", "gridengine"):
        pytest.skip("shown on the local queue, and where environments are shown to everybody")
    password = secrets.token_hex(20)
    spies = Spies(site, password)
    more = f'c.Spawner.environment = {{"DB_PASSWORD": "{password}"}}\n'
    more += f'c.BatchSpawnerBase.secret_transport = "{transport}"\n'
    with own_hub(site, tmp_path, more) as hub, spies.watching():
        user = hub.users[0]
        hub.begin(user)
        hub.wait_ready(user)
        assert spies.end() == []
        tokens = {
            one["JUPYTERHUB_API_TOKEN"]
            for one in environments_of(user)
            if one.get("DB_PASSWORD") == password
        }
        (token,) = {token for token in tokens if not CODE.fullmatch(token)}
        job = hub.state(user)["job_id"]
        assert spies.look(job, token) == []
        hub.end(user)
        no_jobs_left(site)
        assert spies.look(job, token) == []
        body = {"port": 4321, "listening": True}
        assert hub.api("POST", "batchspawner", token=token, json=body).status_code == 403
        log = hub.log.read_text()
        assert "submitted job" in log
        assert [secret for secret in (password, token) if secret in log] == []
        assert CODE.findall(log) == []


def test_the_search_finds_what_the_environment_would_show(site, tmp_path):
    if site.name not in ("gridengine", "htcondor"):
        pytest.skip(f"{site.name} shows environments to nobody")
    more = 'c.BatchSpawnerBase.secret_transport = "environment"\n'
    with own_hub(site, tmp_path, more) as hub:
        user = hub.users[0]
        hub.begin(user)
        hub.wait_ready(user)
        (token,) = {one["JUPYTERHUB_API_TOKEN"] for one in environments_of(user, hub)}
        seen = Spies(site).look(hub.state(user)["job_id"], token)
        for who in others(site):
            questions = (f"{who}: qstat -j", f"{who}: condor_q")
            assert any(place.startswith(questions) for place in seen), (who, seen)
        assert "can be read by" in hub.log.read_text()


def test_a_code_is_of_no_use_to_who_has_it_after_all(site, tmp_path):
    more = 'c.BatchSpawnerBase.second_claim = "cancel"\n'
    with own_hub(site, tmp_path, more) as hub:
        user = hub.users[1]
        hub.begin(user)
        hub.wait_ready(user)
        (code,) = codes_of(hub, user)
        body = {"port": 4321, "claim": "0" * 32}
        assert hub.api("POST", "batchspawner", token=code, json=body).status_code == 403
        wait_for(lambda: "was used a second time" in hub.log.read_text(), 10, "the alarm")
        hub.wait_stopped(user, 60)


def test_a_job_that_is_requeued_has_another_code_and_its_old_one_is_an_alarm(site, tmp_path):
    if not site.can_requeue:
        pytest.skip(f"{site.name} does not start jobs a second time")
    with own_hub(site, tmp_path) as hub:
        user = hub.users[1]
        hub.begin(user)
        hub.wait_ready(user)
        (code,) = codes_of(hub, user)
        before = hub.state(user)
        site.requeue(before["job_id"])
        port = before["job_port"]
        wait_for(lambda: hub.state(user).get("job_port", port) != port, 90, "the second report")
        assert "ALARM" not in hub.log.read_text()
        assert len(hub.state(user)["job_claim"]["spent"]) == 1
        body = {"port": 4321, "claim": "0" * 32}
        assert hub.api("POST", "batchspawner", token=code, json=body).status_code == 403
        wait_for(lambda: "was used a second time" in hub.log.read_text(), 10, "the alarm")
        wait_for(lambda: hub.kernels(user).status_code == 200, 20, "the server to live on")


def codes_of(hub: Hub, user: str) -> set[str]:
    """Return the codes that a job has in its shell's environment, or in a file of its owner."""
    word = hub.state(user)["job_tag"][:7]
    files = Path(f"/home/{user}/.batchspawner").glob(f"{word}-[0-9]*")
    given = [json.loads(file.read_text()) for file in files if file.name[8:].isdigit()]
    found = {one.get("JUPYTERHUB_API_TOKEN", "") for one in [*environments_of(user, hub), *given]}
    return set(filter(CODE.fullmatch, found))
