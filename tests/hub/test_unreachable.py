"""A Hub that cannot reach a server on its node: it says what it tried, and what can be done."""

from __future__ import annotations

import json

import pytest

from tests.filtered import drops_connections
from tests.hubs import Hub, proxy_command, wait_for
from tests.ports import free_port

# The server itself is quick, and listens on 127.0.0.1 only.
SERVER = """
import os, socketserver, urllib.parse
port = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
socketserver.TCPServer.allow_reuse_address = True
print("serving", port, flush=True)
class Silent(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1)
socketserver.ThreadingTCPServer(("127.0.0.1", port), Silent).serve_forever()
"""

CONFIG = """
import sys
from batchspawner import LocalQueueSpawner

HOSTS = {"unknown": "no-such-node.invalid", "loopback": "127.0.0.2", "filtered": "127.0.0.3",
         "silent": "127.0.0.1"}

class Site(LocalQueueSpawner):
    def connect_host(self, host):
        return HOSTS[self.user.name]

def hook(spawner):
    if spawner.user.name == "commands":
        spawner.batch_query_cmd += " "
        spawner.state_exechost_exp = "127.0.0.2"
    if spawner.user.name == "filtered":
        spawner.port_range = (PORT, PORT)

c.Spawner.pre_spawn_hook = hook
c.JupyterHub.spawner_class = Site
c.Site.ip = "127.0.0.1"
c.Site.req_homedir = FOLDER
c.Site.cmd = [sys.executable, FOLDER + "/server.py"]
c.Spawner.http_timeout = 6
"""

TOLD = {
    "unknown": (
        "tried no-such-node.invalid port",
        "the name no-such-node.invalid is not known there",
        "set c.Site.trust_reported_host = True",
    ),
    "loopback": ("tried 127.0.0.2 port", "the connection was refused", "look at c.Site.ip"),
    # A site with commands of its own.
    "commands": ("tried 127.0.0.2 port", "the connection was refused", "look at c.Site.ip"),
    "filtered": ("tried 127.0.0.3 port", "there was no answer at all", "c.Site.port_range limits"),
    "silent": (
        "tried 127.0.0.1 port",
        "the connection was made, but no HTTP came",
        "set c.Site.http_timeout to more than 6",
    ),
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Return what the page of each user is told when the start has failed."""
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    folder = tmp_path_factory.mktemp("unreachable")
    (folder / "server.py").write_text(SERVER)
    port = free_port()
    config = CONFIG.replace("FOLDER", repr(str(folder))).replace("PORT", str(port))
    environment = {"BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"), "BATCHSPAWNER_QUEUE_SLOTS": "5"}
    hub = Hub(folder, config, tuple(TOLD), **environment)
    with drops_connections("127.0.0.3", port):
        hub.start().add_users()
        try:
            for user in TOLD:
                hub.begin(user)
            for user in TOLD:
                wait_for(lambda user=user: hub.server(user) is None, 60, f"{user}; {hub.log}")
            yield {user: _failure(hub, user) for user in TOLD}
        finally:
            hub.stop()


def _failure(hub: Hub, user: str) -> str:
    answer = hub.api("GET", f"users/{user}/server/progress").text
    events = [json.loads(line[5:]) for line in answer.splitlines() if line.startswith("data:")]
    assert events[-1]["failed"] is True
    return events[-1]["message"]


@pytest.mark.parametrize("user", TOLD)
def test_the_page_says_what_was_tried_and_what_the_administrator_can_set(failures, user):
    failure = failures[user]
    tried, problem, cure = TOLD[user]
    assert "The Hub could not reach the server on its node." in failure
    assert "You cannot repair that: tell the administrator" in failure
    assert "For the administrator: " in failure
    assert tried in failure
    assert problem in failure
    assert cure in failure
    assert "It ends with:" in failure
    assert "serving" in failure.split("It ends with:")[1]
