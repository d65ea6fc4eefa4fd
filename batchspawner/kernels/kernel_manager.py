"""What we use of jupyter_client's kernel manager, whose traits have no types."""

from __future__ import annotations

from typing import Protocol


class Session(Protocol):
    """Session that signs the messages of a kernel."""

    key: bytes
    signature_scheme: str


class KernelSpec(Protocol):
    """Content of a kernel.json."""

    argv: list[str]
    env: dict[str, str]
    display_name: str
    language: str
    metadata: dict[str, object]
    resource_dir: str


class Restarter(Protocol):
    """Watcher that starts a kernel again when it has died."""

    restart_limit: int


class KernelManager(Protocol):
    """Kernel manager that a provisioner works for, its `parent`.

    The keys of Curve are there from the version on that has ``transport_encryption``.
    """

    session: Session
    kernel_name: str
    kernel_spec: KernelSpec
    transport: str
    ip: str
    curve_publickey: bytes | None
    curve_secretkey: bytes | None
