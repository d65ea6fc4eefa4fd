"""Give a kernel its keys: the one that signs, and those that encrypt.

On the way to the node everything is encrypted where the kernel knows how, as its kernel spec's
``supported_encryption`` says. On this machine, between us and the kernel's clients, that is for
``KernelManager.transport_encryption`` to say; older versions of jupyter_client have neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

if TYPE_CHECKING:
    from collections.abc import Mapping


def connection_of(manager: Any) -> dict[str, str]:
    """Return what the clients of a kernel know of it besides its addresses."""
    connection = {
        "key": manager.session.key.decode(),
        "signature_scheme": manager.session.signature_scheme,
        "kernel_name": manager.kernel_name,
    }
    policy = getattr(manager, "transport_encryption", "disabled")
    if policy == "required" or (policy == "auto" and _is_able(manager.kernel_spec)):
        if manager.curve_publickey is None:
            manager.curve_publickey, manager.curve_secretkey = zmq.curve_keypair()
        connection["curve_publickey"] = manager.curve_publickey.decode()
        connection["curve_secretkey"] = manager.curve_secretkey.decode()
    return connection


def encrypted(connection: Mapping[str, str], spec: Any) -> dict[str, str]:
    """Return the same with keys for the way to the node, where the kernel can use them."""
    if "curve_publickey" in connection or not _is_able(spec):
        return dict(connection)
    public, secret = zmq.curve_keypair()
    keys = {"curve_publickey": public.decode(), "curve_secretkey": secret.decode()}
    return {**connection, **keys}


def _is_able(spec: Any) -> bool:
    ways = (spec.metadata or {}).get("supported_encryption") or ()
    return "curve" in (ways.split() if isinstance(ways, str) else ways) and zmq.has("curve")
