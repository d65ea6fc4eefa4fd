"""What is encrypted on the way to a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.manager import KernelManager

from .driving import value

ABLE = {"supported_encryption": ["curve"]}
KEY = "import json, ipykernel\nprint(json.load(open(ipykernel.get_connection_file())).get(KEY))"

needs_curve = pytest.mark.skipif(
    not zmq.has("curve") or "supported_encryption" not in get_kernel_dict()["metadata"],
    reason="the kernel or ZeroMQ cannot encrypt",
)
pytestmark = needs_curve


async def connection_file(client, key):
    return (await value(client, KEY.replace("KEY", repr(key))))[1].strip()


async def test_messages_to_the_node_are_encrypted_where_the_kernel_can(started):
    manager, client = await started(metadata=ABLE)
    assert len(await connection_file(client, "curve_publickey")) == 40
    assert "curve_publickey" not in manager.provisioner.connection_info


async def test_the_key_is_in_no_argument_environment_or_script(started, site):
    manager, client = await started()
    key = manager.session.key
    assert (await connection_file(client, "key")).encode() == key
    spool = site.folder if site.name == "local" else site.cluster.prefix
    scripts = [one for one in spool.rglob("*") if one.is_file()]
    places = [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]
    assert [str(one) for one in [*scripts, *places] if key in contents(one)] == []


def contents(file):
    try:
        return file.read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""


async def test_a_kernel_that_cannot_encrypt_is_not_asked_to(started):
    _, client = await started()
    assert await connection_file(client, "curve_publickey") == "None"


@pytest.mark.skipif(
    not hasattr(KernelManager, "transport_encryption"), reason="jupyter_client cannot encrypt"
)
async def test_the_clients_have_the_keys_of_the_kernel_where_all_is_encrypted(started):
    manager, client = await started(metadata=ABLE, traits={"transport_encryption": "required"})
    public = manager.curve_publickey.decode()
    assert await connection_file(client, "curve_publickey") == public
    await manager.restart_kernel()
    assert await value(client, "print(6 * 7)") == ("ok", "42\n")
