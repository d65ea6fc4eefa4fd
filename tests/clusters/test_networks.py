"""A laptop reaches a cluster on a node whose name and network only the login host knows."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from batchspawner.clusters import connect
from tests import sshd
from tests.clusters import networks
from tests.clusters.networks import Host
from tests.sshd import Sshd, make_key

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def hosts():
    """This machine sees the jump host, which sees the login host, which sees the node."""
    reason = sshd.unavailable() or networks.unavailable()
    if reason:
        pytest.skip(reason)
    jump, login, node = made = [Host(name) for name in ("jump", "login", "node7")]
    yield made
    for one in (node, login, jump):
        one.remove()


def test_a_node_behind_two_hosts_is_reached(hosts, place, monkeypatch):
    jump, login, node = hosts
    address = jump.link(1, None)
    jump.knows(login.link(2, jump), "login")
    remote_site = node.link(3, login)
    for one in (login, node):
        one.knows(remote_site, "node7")
    key = make_key(place.folder / "key")
    jump_sshd = Sshd(place.folder / "jump", key, {}, jump.inside).start()
    inner = Sshd(place.folder / "login", key, place.environment, login.inside).start()
    config = place.folder / "ssh_config"
    config.write_text(
        jump_sshd.client_entry("jump", key, address=address)
        + inner.client_entry("login", key, "ProxyJump jump", address="login")
    )
    command = [*node.inside, sys.executable, "-m", "batchspawner.cli"]
    try:
        started = subprocess.run(
            [*command, "cluster", "start", "2", "--wait"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert started.returncode == 0, started.stderr
        monkeypatch.setenv("XDG_DATA_HOME", str(place.folder / "laptop"))
        monkeypatch.setenv("IPYTHONDIR", str(place.folder / "laptop" / "ipython"))
        with connect("login", "1", options=("-F", str(config))) as link, link.client() as rc:
            assert link.found.client["location"] == "node7"
            assert not _reaches(remote_site, link.found.client["registration"])
            assert [one.nodename for one in rc[:].apply_sync(os.uname)] == ["node7", "node7"]
    finally:
        environment = {**os.environ, **place.environment}
        subprocess.run([*command, "cluster", "stop", "--all"], env=environment, timeout=60)
        inner.stop()
        jump_sshd.stop()


def _reaches(address, port):
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False
