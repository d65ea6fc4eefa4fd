"""Where a cluster's connection files lead, and what becomes of them on another machine."""

from __future__ import annotations

import pytest

from batchspawner.clusters.remote_files import Endpoint, RemoteFiles, is_folder, ports_of, rewritten
from batchspawner.errors import ConnectionFailed

pytestmark = pytest.mark.unit

CLIENT = {
    "ssh": "",
    "interface": "tcp://*",
    "location": "node7",
    "registration": 1001,
    "mux": 1002,
    "broadcast": [1003, 1004],
    "key": "secret",
    "curve_serverkey": None,
    "pack": "json",
}


def found(server=None, **client):
    return RemoteFiles("login1", "/home/ada/profile", {**CLIENT, **client}, {}, server or {})


def test_every_port_is_found_and_nothing_else():
    assert ports_of(CLIENT) == {"registration": [1001], "mux": [1002], "broadcast": [1003, 1004]}


def test_the_copy_leads_to_this_machine_only():
    ports = {1001: 2001, 1002: 2002, 1003: 2003, 1004: 2004}
    assert rewritten({**CLIENT, "ssh": "ada@login1"}, ports) == {
        **CLIENT,
        "interface": "tcp://127.0.0.1",
        "location": "127.0.0.1",
        "registration": 2001,
        "mux": 2002,
        "broadcast": [2003, 2004],
    }


@pytest.mark.parametrize(
    ("interface", "location", "host"),
    [
        ("tcp://*", "node7", "node7"),
        ("tcp://0.0.0.0", "10.1.2.3", "10.1.2.3"),
        ("tcp://10.9.9.9", "node7", "10.9.9.9"),
        ("tcp://*", "login1", "127.0.0.1"),
        ("tcp://127.0.0.1", "login1", "127.0.0.1"),
    ],
)
def test_ssh_leads_to_where_the_controller_listens(interface, location, host):
    one = found(interface=interface, location=location, mux="", broadcast="")
    assert one.endpoints(one.client) == [Endpoint(host, 1001)]


@pytest.mark.parametrize(
    ("interface", "reason"),
    [
        ("tcp://127.0.0.1", "the controller on node7 listens to that host only"),
        ("ipc:///tmp/socket", "listens on ipc:///tmp/socket, which ssh cannot forward"),
    ],
)
def test_a_controller_that_no_tunnel_reaches_is_explained(interface, reason):
    one = found(interface=interface)
    with pytest.raises(ConnectionFailed, match=reason):
        one.endpoints(one.client)


@pytest.mark.parametrize(
    ("server", "end"),
    [
        ({}, None),
        ({"port": 8888, "hostname": "node7"}, Endpoint("node7", 8888)),
        ({"port": 8888, "hostname": "0.0.0.0"}, Endpoint("node7", 8888)),
        ({"port": 8888, "hostname": "localhost"}, None),
    ],
)
def test_the_jupyter_server_is_found_on_its_node(server, end):
    assert found(server).notebook == end


def test_a_jupyter_server_on_the_login_host_may_listen_there_only():
    server = {"port": 8888, "hostname": "localhost"}
    assert found(server, location="login1").notebook == Endpoint("127.0.0.1", 8888)


def test_a_job_is_told_from_a_folder():
    words = ("123", "123.pbs", "123[4]", "~/profile_x", "/scratch/p", "a/b")
    assert [is_folder(one) for one in words] == [False, False, False, True, True, True]
