"""Certificates of servers, for a Hub with `internal_ssl`.

JupyterHub makes them before a server starts, when nobody knows its node, and on its own machine.
Here an entry certificate travels with the claim code, which only lets a job connect to the Hub's
port; the server's own comes with the answer to the claim, for the host on which the
scheduler says that the job runs. Their keys are never written where the Hub runs.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import datetime, timedelta, timezone
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..hub.jupyterhub import HubSpawner, Spawner
from ..hub.tags import server_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

CERTIFICATES = "BATCHSPAWNER_CERTIFICATES"
"""The variable in which certificates travel to the wrapper in the job."""

PATHS = ("JUPYTERHUB_SSL_KEYFILE", "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_CLIENT_CA")
"""The variables that say to a server where its certificates are."""

_AUTHORITY = "notebooks-ca"
_NO_HOST = "entry.invalid"

# The clocks of nodes differ; and a job may wait long, run long, or both.
_BEFORE, _AFTER = timedelta(days=1), timedelta(days=400)


class CertifiedSpawner(HubSpawner, Protocol):
    """Spawner with what JupyterHub sets on it for `internal_ssl`."""

    internal_certs_location: str
    internal_trust_bundles: dict[str, str]
    ssl_alt_names: Any


def are_ours(spawner: CertifiedSpawner) -> bool:
    """Return whether this library makes the server's certificates and brings them to its node.

    It does not if a subclass of the site does that itself.
    """
    return spawner.internal_ssl and all(
        getattr(type(spawner), method) is getattr(Spawner, method)
        for method in ("create_certs", "move_certs")
    )


def entry_certificate(spawner: CertifiedSpawner) -> str:
    """Return a certificate that lets a job connect to the Hub, and is no server's certificate."""
    return _packed(spawner, [_NO_HOST], [ExtendedKeyUsageOID.CLIENT_AUTH])


async def server_certificate(spawner: CertifiedSpawner, host: str) -> str:
    """Return the certificate of a server for its host, by the name that the Hub uses."""
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _packed(spawner, [host, *await _configured_names(spawner)], usages)


async def _configured_names(spawner: CertifiedSpawner) -> list[str]:
    """Return what `ssl_alt_names` adds, such as ``DNS:*.cluster``."""
    names = spawner.ssl_alt_names
    if callable(names):
        names = names(spawner)
        if isawaitable(names):
            names = await names
    return [str(name).partition(":")[2] for name in names]


def _packed(
    spawner: CertifiedSpawner, names: Sequence[str], usages: list[x509.ObjectIdentifier]
) -> str:
    """Return a new key, its certificate and the trusted authorities, encoded as one word."""
    key, certificate = _signed(spawner, names, usages)
    files = {
        "name": f"{server_word(spawner)}-tls",
        "KEYFILE": key,
        "CERTFILE": certificate,
        "CLIENT_CA": Path(spawner.internal_trust_bundles[_AUTHORITY]).read_text(),
    }
    return base64.b64encode(json.dumps(files).encode()).decode()


def _signed(
    spawner: CertifiedSpawner, names: Sequence[str], usages: list[x509.ObjectIdentifier]
) -> tuple[str, str]:
    authority, authority_key = _authority(spawner)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "batchspawner")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.SubjectAlternativeName([_alt_name(one) for one in names]), False)
        .add_extension(x509.ExtendedKeyUsage(usages), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(_identifier(authority), False)
    )
    certificate = builder.sign(authority_key, hashes.SHA256())
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        certificate.public_bytes(Encoding.PEM).decode(),
    )


def _authority(
    spawner: CertifiedSpawner,
) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    """Return certificate and key of JupyterHub's authority for servers."""
    from certipy import Certipy

    store = Certipy(store_dir=spawner.internal_certs_location).store
    files: dict[str, str] = store.get_record(_AUTHORITY)["files"]
    key = load_pem_private_key(Path(files["key"]).read_bytes(), None)
    return (
        x509.load_pem_x509_certificate(Path(files["cert"]).read_bytes()),
        cast("CertificateIssuerPrivateKeyTypes", key),
    )


def _identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _alt_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
