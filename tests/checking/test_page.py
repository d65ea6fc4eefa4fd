"""The page of the server that `batchspawner check` starts in its job."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Each of them runs a job with a server.
pytestmark = pytest.mark.hub

SINGLEUSER = Path(sys.executable).parent / "jupyterhub-singleuser"


@pytest.fixture
def real(place):
    """A site whose server is the real one."""
    place.lines += [
        f"c.LocalQueueSpawner.cmd = [{str(SINGLEUSER)!r}]",
        "c.LocalQueueSpawner.args = ['--allow-root']",
        "c.LocalQueueSpawner.http_timeout = 110",
    ]
    return place


def page_of(place) -> dict:
    (one,) = [one for one in place.findings() if one["name"] == "page"]
    return one


def test_the_page_of_a_real_server_opens(real):
    one = page_of(real)
    assert one["verdict"] == "ok", one
    assert one["text"].startswith("a server started on the node, and its page /user/")


def test_a_server_that_answers_500_to_everything_is_found_with_its_cause_and_cure(real):
    """As on a PBS that turns the quotes of a value into backslashes."""
    real.lines.append(
        "c.LocalQueueSpawner.req_prologue = "
        "'export JUPYTERHUB_OAUTH_ACCESS_SCOPES=[\\\\access:servers\\\\]'"
    )
    one = page_of(real)
    assert one["verdict"] == "wrong"
    assert "HTTP 500; JUPYTERHUB_OAUTH_ACCESS_SCOPES reached the job with another" in one["text"]
    assert one["cure"].startswith("c.LocalQueueSpawner.secret_variables = ['*TOKEN*', ")
    assert "'JUPYTERHUB_OAUTH_ACCESS_SCOPES']" in one["cure"]


def test_the_cure_for_a_changed_variable_opens_the_page(real):
    real.lines += [
        "c.LocalQueueSpawner.secret_variables = ['*TOKEN*', 'JUPYTERHUB_OAUTH_*']",
        "c.LocalQueueSpawner.secret_transport = 'claim'",
    ]
    one = page_of(real)
    assert one["verdict"] == "ok", one


def test_a_server_that_ends_at_once_is_shown_with_its_log(place):
    place.program("jupyterhub-singleuser", "#!/bin/sh\necho 'no such option: --lab'\nexit 3\n")
    one = place.wrong()
    assert one["name"] == "page"
    assert one["text"] == (
        "the server ended with exit status 3 before it answered; its log ends with: "
        "no such option: --lab"
    )


def test_a_server_that_does_not_answer_in_time(place):
    place.program("jupyterhub-singleuser", "#!/bin/sh\nexec sleep 60\n")
    one = place.wrong("c.LocalQueueSpawner.http_timeout = 4")
    assert one["text"].startswith("the server did not answer within 4 s (http_timeout)")
    assert one["cure"] == "c.LocalQueueSpawner.http_timeout = 8"


def test_nobody_else_on_the_node_gets_the_token_of_the_server():
    from batchspawner.checking.page_probe import NodeHub, follow

    hub = NodeHub("ada")
    try:
        address = f"127.0.0.1:{hub.server_address[1]}"
        own = follow(address, f"{hub.place}/user", hub.token)["status"]
        others = follow(address, f"{hub.place}/user", "guessed")["status"]
        elsewhere = follow(address, "/hub/api/user", hub.token)["status"]
    finally:
        hub.shutdown()
        hub.server_close()
    assert (own, others, elsewhere) == (200, 404, 404)
