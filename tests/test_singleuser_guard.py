"""Nobody else on the node can take the server's port without being noticed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from batchspawner import singleuser
from tests.hubs import wait_for
from tests.test_singleuser import SCRIPT, TOKEN, environment_of_a_job, hub, wrap  # noqa: F401

PORT = "int(os.environ['JUPYTERHUB_SERVICE_URL'].split(':')[2].split('/')[0])"
# Ours may lie where another user cannot go.
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")
SERVER = (
    f"import os, socket, sys; s = socket.create_server(('127.0.0.1', {PORT})); sys.stdin.read()"
)
# A server that starts what a stranger would have started a moment before.
BESIEGED = f"""
import os, subprocess, sys
command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", {PYTHON!r}, "-c",
           "import socket, sys; s = socket.create_server(('127.0.0.1', %d)); sys.stdin.read()"
           % {PORT}]
subprocess.run(command)
"""


def start(url, code) -> subprocess.Popen:
    env = environment_of_a_job(url, BATCHSPAWNER_CONFIRM="1")
    return subprocess.Popen(
        [sys.executable, SCRIPT, sys.executable, "-c", code],
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_server_that_has_opened_its_port_is_confirmed(hub):  # noqa: F811
    one = hub()
    server = start(one.url, SERVER)
    try:
        wait_for(lambda: len(one.reports) == 2, 20, "the confirmation")
    finally:
        _, said = server.communicate(timeout=20)
    (_, _, first), (_, authorization, second) = one.reports
    assert first == {"port": first["port"], "host": "127.0.0.1", "confirms": True}
    assert second == {"port": first["port"], "host": "127.0.0.1", "listening": True}
    assert authorization == f"token {TOKEN}"
    assert (server.returncode, said) == (0, "")


def test_a_server_that_never_opens_its_port_is_not(hub):  # noqa: F811
    one = hub()
    done = wrap(one.url, "true", BATCHSPAWNER_CONFIRM="1")
    assert (done.returncode, done.stderr, len(one.reports)) == (0, "", 1)


def test_a_hub_that_does_not_ask_hears_nothing_of_it(hub):  # noqa: F811
    one = hub()
    wrap(one.url, "true")
    assert "confirms" not in one.reports[0][2]


@pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON, reason="needs root, and a Python that all users can run"
)
def test_a_stranger_in_its_place_is_noticed_and_ends_the_server(hub):  # noqa: F811
    one = hub()
    server = start(one.url, BESIEGED)
    try:
        server.wait(20)
    finally:
        _, said = server.communicate(timeout=20)
    assert (server.returncode, len(one.reports)) == (-signal.SIGTERM, 1)
    port = one.reports[0][2]["port"]
    assert said == (
        f"batchspawner-singleuser: user 65534 has opened port {port} in the server's place; "
        "it is ended\n"
    )


def test_the_guard_tells_users_from_each_other(monkeypatch, capsys):
    server = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(singleuser, "owners_of", lambda _: {os.geteuid(), 4711})
    singleuser.guard(8888, server.pid, {})
    assert server.wait(10) == -signal.SIGTERM
    assert "user 4711 has opened port 8888" in capsys.readouterr().err


@pytest.mark.parametrize(("family", "address"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_listeners_are_found_with_their_owners(family, address):
    try:
        listener = socket.create_server((address, 0), family=getattr(socket, family))
    except OSError:
        pytest.skip(f"this machine has no {address}")
    with listener:
        port = listener.getsockname()[1]
        assert singleuser.owners_of(port) == {os.geteuid()}
    assert singleuser.owners_of(port) == set()
