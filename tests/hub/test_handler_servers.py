"""Who may see a user's servers and their logs at /hub/api/batchspawner, and what they see."""

from __future__ import annotations

import requests

from tests.hub.test_handler import token_of, waiting  # noqa: F401  (a fixture)
from tests.hubs import wait_for


def test_a_user_sees_the_own_servers_and_the_log_of_their_jobs(hub):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    token = token_of(hub, user, "inherit")
    answer = hub.api("GET", f"batchspawner/servers/{user}", token=token).json()
    (card,) = answer["servers"]
    assert (card["name"], card["state"], card["ready"]) == ("", "ready", True)
    assert card["job_id"] == hub.state(user)["job_id"]
    assert card["url"].endswith(f"/user/{user}/")
    assert answer["ended"] == []

    def log() -> dict:
        return hub.api("GET", f"batchspawner/log/{user}", token=token).json()

    wait_for(lambda: "jupyter" in log()["tail"].lower(), 30, "what the server has printed")
    assert log()["path"].startswith("/")
    assert hub.api("GET", f"batchspawner/log/{user}/nothing", token=token).status_code == 404


def test_a_user_sees_how_the_server_ended_also_after_a_restart_of_the_hub(hub, site):
    user = hub.users[0]
    hub.begin(user)
    hub.wait_ready(user)
    job_id = hub.state(user)["job_id"]
    site.cancel(job_id)
    hub.wait_stopped(user)
    told = {"servers": [], "ended": [f"Your server ended: its job was cancelled (job {job_id})."]}
    token = token_of(hub, user, "inherit")
    assert hub.api("GET", f"batchspawner/servers/{user}", token=token).json() == told
    hub.kill()
    hub.start()
    assert hub.api("GET", f"batchspawner/servers/{user}", token=token).json() == told


def test_a_user_sees_no_server_and_no_log_of_another(waiting):  # noqa: F811
    user, other = waiting.users[:2]
    refused = {
        "another user": token_of(waiting, other, "inherit"),
        "a token for nothing": token_of(waiting, user, "read:users!user"),
        "nobody": "no-such-token",
    }
    for who, token in refused.items():
        for path in (f"servers/{user}", f"log/{user}", f"log/{user}/x"):
            answer = waiting.api("GET", f"batchspawner/{path}", token=token)
            assert answer.status_code in (403, 404), (who, path)
            assert "job_id" not in answer.text, (who, path)
    url = f"{waiting.url}/hub/api/batchspawner"
    assert requests.get(f"{url}/servers/{user}", timeout=30).status_code == 403
    reads_only = token_of(waiting, user, "read:servers!user")
    assert waiting.api("GET", f"batchspawner/servers/{user}", token=reads_only).ok
    answer = waiting.api("GET", f"batchspawner/log/{user}", token=reads_only)
    assert answer.status_code in (403, 404)
