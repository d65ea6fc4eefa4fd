"""Give a kernel its keys: the one that signs, and those that encrypt where both sides can.

``KernelManager.transport_encryption`` says whether they are wished for, and the kernel spec's
``supported_encryption`` whether the kernel knows what to do with them. Older versions of
jupyter_client have neither.
"""

from __future__ import annotations

from typing import Any

import zmq


def connection_of(manager: Any) -> dict[str, str]:
    """Return what stands in a kernel's connection file besides its addresses."""
    connection = {
        "key": manager.session.key.decode(),
        "signature_scheme": manager.session.signature_scheme,
        "kernel_name": manager.kernel_name,
    }
    if _is_encrypted(manager):
        if manager.curve_publickey is None:
            manager.curve_publickey, manager.curve_secretkey = zmq.curve_keypair()
        connection["curve_publickey"] = manager.curve_publickey.decode()
        connection["curve_secretkey"] = manager.curve_secretkey.decode()
    return connection


def _is_encrypted(manager: Any) -> bool:
    policy = getattr(manager, "transport_encryption", "disabled")
    if policy == "auto":
        return bool(manager._kernel_supports_curve_encryption())
    return bool(policy == "required")
