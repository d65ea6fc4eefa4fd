"""Kernels that are reached through ssh."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from batchspawner.errors import BatchError
from tests.processes import called
from tests.sshd import Host, unavailable

from .driving import eventually, value
from .test_connection_keys import ABLE, needs_curve

pytestmark = [
    needs_curve,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]
ADDRESS = "import json, ipykernel\nprint(json.load(open(ipykernel.get_connection_file()))['ip'])"


@pytest.fixture
def ssh(tmp_path):
    """The ssh command that reaches this machine under its own name."""
    server = Host(tmp_path / "ssh", socket.gethostname()).start()
    yield f"ssh -F {server.config}"
    server.stop()


def tunnels():
    return called("ssh", os.getpid())


async def test_a_kernel_is_reached_through_ssh_only(ssh, started):
    manager, client = await started(tunnel=ssh, metadata=ABLE)
    assert await value(client, ADDRESS) == ("ok", "127.0.0.1\n")
    await manager.restart_kernel()
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")
    await manager.shutdown_kernel()
    await eventually(lambda: tunnels() == [])


async def test_a_tunnel_that_is_cut_is_dug_again_and_no_output_is_lost(ssh, started):
    _, client = await started(tunnel=ssh, metadata=ABLE)
    await value(client, "x = 7")
    for _ in range(3):
        (tunnel,) = tunnels()
        os.kill(tunnel.pid, signal.SIGKILL)
        await eventually(lambda: tunnels() == [])
        assert await value(client, "print(6 * x)") == ("ok", "42\n")


async def test_a_node_that_ssh_does_not_reach_fails_the_start_in_its_words(started, monkeypatch):
    monkeypatch.setattr("batchspawner.kernels.tunnel._CONNECT_TIMEOUT_S", 2)
    with pytest.raises(BatchError, match=r"ssh said:\n.*port 1: Connection refused"):
        await started(tunnel="ssh -F /dev/null -o HostName=127.0.0.1 -p 1", metadata=ABLE)
