"""Keys of a kernel: the one that signs its messages, and those that encrypt them.

Between us and the node, messages are encrypted if the kernel supports it, as its kernel spec's
``supported_encryption`` says. On this machine, between us and the kernel's clients,
``KernelManager.transport_encryption`` decides; older versions of jupyter_client have neither.
A kernel that cannot encrypt listens on its node only, and the agent's connection carries its
messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .kernel_manager import KernelManager, KernelSpec


_WITH_IPC = frozenset({"bash", "julia", "python", "r"})
"""Languages whose kernels (ipykernel, IRkernel, IJulia …) can listen on Unix sockets.

They are those of one folder, which only the user can enter, and others on the node cannot connect.
"""


def connection_of(manager: KernelManager) -> dict[str, str]:
    """Return the connection file for a kernel's clients, without addresses."""
    connection = {
        "key": manager.session.key.decode(),
        "signature_scheme": manager.session.signature_scheme,
        "kernel_name": manager.kernel_name,
    }
    policy: object = getattr(manager, "transport_encryption", "disabled")
    if policy == "required" or (policy == "auto" and _supports_curve(manager.kernel_spec)):
        public, secret = manager.curve_publickey, manager.curve_secretkey
        if public is None or secret is None:
            public, secret = zmq.curve_keypair()
            manager.curve_publickey, manager.curve_secretkey = public, secret
        connection["curve_publickey"] = public.decode()
        connection["curve_secretkey"] = secret.decode()
    return connection


def encrypted(connection: Mapping[str, str], spec: KernelSpec) -> dict[str, str]:
    """Return a connection with keys for the way to the node, if the kernel can use them."""
    if "curve_publickey" in connection or not _supports_curve(spec):
        return dict(connection)
    public, secret = zmq.curve_keypair()
    keys = {"curve_publickey": public.decode(), "curve_secretkey": secret.decode()}
    return {**connection, **keys}


def local_transport(connection: Mapping[str, str], spec: KernelSpec, chosen: str) -> str:
    """Return how a kernel listens that cannot encrypt, ``ipc`` or ``tcp``, else an empty text.

    `chosen` is what its kernel.json says, if it does.
    """
    if "curve_publickey" in connection:
        return ""
    return chosen or ("ipc" if spec.language.lower() in _WITH_IPC else "tcp")


def _supports_curve(spec: KernelSpec) -> bool:
    supported = (spec.metadata or {}).get("supported_encryption")
    if isinstance(supported, str):
        supported = supported.split()
    return isinstance(supported, (list, tuple)) and "curve" in supported and zmq.has("curve")
