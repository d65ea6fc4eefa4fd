"""Nobody else on the node can take the server's port without being noticed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

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


def start(url, code, **more) -> subprocess.Popen:
    env = environment_of_a_job(url, BATCHSPAWNER_CONFIRM="1", **more)
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


def listeners(port: int) -> set[str]:
    """Return the names of the tables in which a port of this node is open."""
    code = f":{port:04X} "
    tables = {name: Path("/proc/net", name).read_text() for name in ("tcp", "tcp6")}
    return {
        name
        for name, text in tables.items()
        if any(code in line and " 0A " in line for line in text.splitlines())
    }


# Below those that the kernel hands out: the neighbour must not disturb other tests.
FIRST_PORT = 10000 + os.getpid() % 200 * 100
PORTS = range(FIRST_PORT, FIRST_PORT + 100)
# Whoever sees that a port is held in one family opens it in the other.
NEIGHBOUR = f"""
import socket
mine, sockets = set(), []
print("ready", flush=True)
while True:
    rows = [line.split() for line in open("/proc/net/tcp")]
    held = {{int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}}
    for port in (held - mine) & set({PORTS}):
        one = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            one.bind(("::", port))
            one.listen(1)
        except OSError:
            continue
        mine.add(port)
        sockets.append(one)
"""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON or not has_ipv6(),
    reason="needs root, IPv6, and a Python that all users can run",
)
def test_a_neighbour_who_opens_the_other_family_of_each_port_stops_no_server(hub):  # noqa: F811
    one = hub()
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    neighbour = subprocess.Popen([*stranger, PYTHON, "-c", NEIGHBOUR], stdout=subprocess.PIPE)
    ports = f"{PORTS[0]}-{PORTS[-1]}"
    try:
        assert neighbour.stdout.readline() == b"ready\n"
        for number in range(1, 4):
            server = start(one.url, SERVER, BATCHSPAWNER_PORT_RANGE=ports)
            try:
                wait_for(lambda n=number: len(one.reports) == 2 * n, 20, "the confirmation")
                port = one.reports[-1][2]["port"]
                assert listeners(port) == {"tcp"}
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("::1", port), timeout=5)
            finally:
                _, said = server.communicate(timeout=20)
            assert (server.returncode, said) == (0, "")
    finally:
        neighbour.kill()
        neighbour.communicate()


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
def test_a_port_whose_other_family_is_taken_is_not_chosen():
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        wanted = {"BATCHSPAWNER_CONFIRM": "1", "BATCHSPAWNER_PORT_RANGE": f"{port}-{port}"}
        with pytest.raises(singleuser.Failure, match="all ports of BATCHSPAWNER_PORT_RANGE"):
            singleuser.hold_port("127.0.0.1", 0, wanted)


def test_a_node_that_cannot_tell_who_listens_says_so(hub, monkeypatch):  # noqa: F811
    monkeypatch.setattr(singleuser, "LISTENERS", ("/proc/net/none",))
    with pytest.raises(singleuser.Failure, match="confirm_server to False"):
        singleuser.confirms({"BATCHSPAWNER_CONFIRM": "1"})
