"""One Hub whose users have servers on the embedded queue, on a real Slurm and on its own host."""

from __future__ import annotations

import pytest

from tests.hubs import Hub
from tests.sites import SlurmSite, no_jobs_left

pytestmark = [pytest.mark.slurm, pytest.mark.scheduler]

CONFIG = """
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.ProfilesSpawner.profiles = [
    {"display_name": "Queue", "spawner": "batchspawner.LocalQueueSpawner",
     "override": {"req_homedir": {folder!r}}},
    {"display_name": "Cluster", "spawner": "batchspawner.SlurmSpawner",
     "override": {"trust_reported_host": True, "resource_form": True, "req_memory": "400M"}},
    {"display_name": "Host", "spawner": "jupyterhub.spawner.LocalProcessSpawner"},
]
c.Spawner.args = ["--allow-root"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 5}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if SlurmSite.unavailable:
        pytest.skip(f"no slurm: {SlurmSite.unavailable}")
    one = SlurmSite(tmp_path_factory.mktemp("cluster"))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def hub(cluster, tmp_path):
    environment = {
        **cluster.environment,
        "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
        "BATCHSPAWNER_QUEUE_GRACE": "1",
    }
    config = CONFIG.replace("{folder!r}", repr(str(tmp_path)))
    one = Hub(tmp_path, config, cluster.users, **environment).start()
    one.add_users()
    yield one
    for user in one.users:
        if one.server(user):
            one.end(user)
    one.stop()
    no_jobs_left(cluster)


def test_servers_of_three_kinds_outlive_a_restart_of_the_hub(hub, cluster):
    chosen = {
        "jhalice": {"profile": "queue"},
        "jhbob": {"profile": "cluster", "queue": "debug", "runtime": "5", "nprocs": 2},
        "jhcarol": {"profile": "host"},
    }
    for user, options in chosen.items():
        assert hub.begin(user, options).status_code in (201, 202)
    before = {user: hub.wait_ready(user)["url"] and hub.state(user) for user in chosen}
    (job,) = (before["jhbob"]["child_state"]["job_id"],)
    assert cluster.jobs() == [(job, "jhbob", "RUNNING")]
    told = cluster.cluster.run("scontrol", "-o", "show", "job", job)
    assert "Partition=debug" in told
    assert "NumCPUs=2" in told

    hub.kill()
    hub.start()
    for user in chosen:
        hub.wait_ready(user)
        assert hub.kernels(user).status_code == 200
    after = {user: hub.state(user) for user in chosen}
    assert after == before

    for user in chosen:
        hub.end(user)
        assert not hub.kernels(user).ok


def test_the_queues_and_limits_of_the_real_scheduler_are_those_of_the_form(hub):
    answer = hub.begin("jhbob", {"profile": "cluster", "queue": "debug", "runtime": "1h"})
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "Time (runtime): '1h' is not allowed; choose from 1m to 10m with queue debug",
    )
    answer = hub.begin("jhbob", {"profile": "cluster", "queue": "nowhere"})
    assert answer.json()["message"] == (
        "queue: 'nowhere' is not allowed; choose one of normal, debug, gpu, low"
    )


def test_the_form_learns_when_a_server_would_start_and_only_of_what_it_accepts(hub, cluster):
    user, other = "jhbob", "jhalice"
    tokens = {
        name: hub.api("POST", f"users/{name}/tokens", json={}).json()["token"]
        for name in (user, other)
    }

    def ask(token: str, path: str = user, **fields):
        form = {"profile": ["cluster"]} | {
            f"cluster--{name}": [one] for name, one in fields.items()
        }
        return hub.api("POST", f"batchspawner/estimate/{path}", token=token, json={"form": form})

    now = ask(tokens[user], queue="debug")
    assert (now.status_code, now.json()) == (200, {"text": "It would start at once."})
    never = ask(tokens[user], queue="gpu", gpu_type="a100", nprocs="256")
    assert never.json()["text"].startswith(("It would start", "The scheduler would refuse"))
    assert ask(tokens[user], queue="nowhere").status_code == 400
    assert ask(tokens[user], memory="4G").status_code == 400
    assert ask(tokens[other], queue="debug").status_code == 404
    assert ask("no-token", queue="debug").status_code == 403
    assert ask(tokens[user], f"{user}/never-seen", queue="debug").status_code == 404
    wrong = hub.api("POST", f"batchspawner/estimate/{user}", token=tokens[user], json=["form"])
    assert wrong.status_code == 400
    assert hub.server(user) is None
    no_jobs_left(cluster)
