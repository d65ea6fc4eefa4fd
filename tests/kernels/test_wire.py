"""What somebody who listens on the network learns of a kernel: nothing."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from tests.wire import Wire, needs_wire

from .driving import value
from .test_connection_keys import ABLE, needs_curve

pytestmark = needs_wire

# The bytes of the words that are sent and shown are in no other traffic.
CELL = "sent = 'zebra-argument'; print(sent.replace('zebra', 'crossed') + '-result')"
SHOWN = "crossed-argument-result\n"
FILE = "import ipykernel\nprint(open(ipykernel.get_connection_file()).read())"


async def heard(started, **config):
    """Return which secrets of a kernel and of its cell the network carried."""
    # Clients on this machine do without the network, to tell them from the way to the node.
    with Wire() as wire:
        manager, client = await started(traits={"transport": "ipc"}, **config)
        assert await value(client, CELL) == ("ok", SHOWN)
        _, text = await value(client, FILE)
    info = manager.provisioner._run.record.command.connection
    secrets = [info["key"], info.get("curve_secretkey", info["key"])]
    assert secrets[0] in text
    needles = [*secrets, "zebra-argument", SHOWN.strip()]
    return [one for one in needles if wire.carried(one.encode())]


@needs_curve
async def test_nobody_hears_the_keys_and_messages_of_a_kernel_that_encrypts(started):
    assert await heard(started, metadata=ABLE) == []


async def test_nobody_hears_the_keys_and_messages_of_a_kernel_that_cannot_encrypt(started):
    assert await heard(started) == []


async def test_a_kernel_that_cannot_encrypt_listens_where_only_its_user_can_connect(started):
    _, client = await started()
    connection = json.loads((await value(client, FILE))[1])
    folder = Path(connection["ip"]).parent
    assert connection["transport"] == "ipc"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.glob("channel-*"))) == 5


async def test_a_kernel_without_unix_sockets_listens_on_loopback(started):
    _, client = await started(transport="tcp")
    connection = json.loads((await value(client, FILE))[1])
    assert (connection["transport"], connection["ip"]) == ("tcp", "127.0.0.1")


@pytest.fixture
def python_without_ssl(tmp_path):
    """A Python for the agent that was built without the module ssl."""
    hide = "import runpy, sys; sys.modules['ssl'] = None; del sys.argv[0]; "
    run = "runpy.run_path(sys.argv[0], run_name='__main__')"
    file = tmp_path / "python-without-ssl"
    file.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} -I -S -c "{hide}{run}" "$@"\n')
    file.chmod(0o755)
    return str(file)


async def test_where_nobody_can_encrypt_it_is_said_and_keys_are_not_sent(
    started, python_without_ssl, caplog
):
    with Wire() as wire:
        manager, client = await started(traits={"transport": "ipc"}, python=python_without_ssl)
        assert await value(client, CELL) == ("ok", SHOWN)
    job = manager.provisioner._job.job_id
    assert f"Messages of the kernel in job {job} are not encrypted" in caplog.text
    assert wire.carried(SHOWN.strip().encode())
    assert not wire.carried(manager.session.key)
