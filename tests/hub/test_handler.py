"""What jobs and others can do at /hub/api/batchspawner."""

from __future__ import annotations

import re

import pytest
import requests

from tests.hubs import wait_for


@pytest.fixture
def waiting(hub, site):
    """A Hub with a server of the first user that waits in the queue."""
    site.fill()
    try:
        hub.begin(hub.users[0])
        wait_for(lambda: hub.state(hub.users[0]).get("job_id"), 20, "the job")
        yield hub
    finally:
        site.drain()
    hub.end(hub.users[0])


def facts(hub, user: str) -> dict:
    """Return the state of a server, without what changes while its job waits."""
    changing = ("job_status", "story", "submitted_at", "waited")
    return {name: value for name, value in hub.state(user).items() if name not in changing}


def token_of(hub, user: str, *scopes: str) -> str:
    answer = hub.api("POST", f"users/{user}/tokens", json={"scopes": list(scopes)})
    assert answer.ok, answer.text
    return answer.json()["token"]


def own_token(hub, user: str) -> str:
    return token_of(hub, user, f"access:servers!server={user}/")


def report(hub, token: str, **request) -> requests.Response:
    return hub.api("POST", "batchspawner", token=token, **request)


def test_a_server_reports_its_port_in_the_words_of_all_releases(waiting):
    user = waiting.users[0]
    answer = report(waiting, own_token(waiting, user), json={"port": 45678})
    assert answer.status_code == 201
    assert answer.json() == {"message": "BatchSpawner data configured"}
    assert waiting.state(user)["reported_port"] == 45678


def test_an_administrator_finds_the_scheduler_in_the_metrics_of_the_hub(waiting):
    wanted = re.compile(r'^batchspawner_jobs\{scheduler="local",state="\w+"\} 1.0$', re.MULTILINE)
    wait_for(lambda: wanted.search(waiting.api("GET", "metrics").text), 10, "the waiting job")


def test_nothing_else_in_a_report_sets_anything(waiting):
    user = waiting.users[0]
    before = facts(waiting, user)
    body = {
        "port": 45678,
        "host": "evil.example.org",
        "ip": "10.9.9.9",
        "cmd": ["evil"],
        "job_id": "999",
        "api_token": "x",
        "job_host": "10.9.9.9",
    }
    assert report(waiting, own_token(waiting, user), json=body).status_code == 201
    assert facts(waiting, user) == {**before, "reported_port": 45678}


BAD_BODIES = (
    "",
    "null",
    "[]",
    "{}",
    '{"port": 0}',
    '{"port": 65536}',
    '{"port": "80"}',
    '{"port": true}',
    '{"port": 1.5}',
    '{"port": null}',
    '{"port": -1}',
    "{",
    '"port"',
    '{"port": [1]}',
)


def test_a_report_that_is_none_is_refused_and_changes_nothing(waiting):
    user = waiting.users[0]
    before, token = facts(waiting, user), own_token(waiting, user)
    answers = {body: report(waiting, token, data=body).status_code for body in BAD_BODIES}
    assert answers == dict.fromkeys(BAD_BODIES, 400)
    assert facts(waiting, user) == before


def test_only_the_token_of_the_server_itself_may_report(waiting):
    user, other = waiting.users[:2]
    before = facts(waiting, user)
    strangers = {
        "nobody": "no-such-token",
        "another user": own_token(waiting, other),
        "the same user without the right": token_of(waiting, user, "read:users:name!user"),
        "a service": waiting.token,
    }
    for token in strangers.values():
        assert report(waiting, token, json={"port": 45678}).status_code == 403
    anonymous = requests.post(
        f"{waiting.url}/hub/api/batchspawner", json={"port": 45678}, timeout=30
    )
    assert anonymous.status_code == 403
    assert facts(waiting, user) == before
