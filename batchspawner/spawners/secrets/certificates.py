"""Make the certificates of servers, for a Hub with `internal_ssl`.

JupyterHub makes them before a server starts, when nobody knows its node, and on its own machine.
Here an entry certificate travels with the claim code, which is good for nothing but to be let in at
the Hub's port; the server's own comes with the answer to the claim, for the host on which the
scheduler says that the job runs. Their keys are never written where the Hub runs.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import datetime, timedelta, timezone
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from jupyterhub.spawner import Spawner

from ..hub.tags import hub_word

if TYPE_CHECKING:
    from collections.abc import Sequence

CERTIFICATES = "BATCHSPAWNER_CERTIFICATES"
"""The variable in which certificates travel to the wrapper in the job."""

PATHS = ("JUPYTERHUB_SSL_KEYFILE", "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_CLIENT_CA")
"""The variables that say to a server where its certificates are."""

_AUTHORITY = "notebooks-ca"
_NO_HOST = "entry.invalid"

# The clocks of nodes differ; and a job may wait long, run long, or both.
_BEFORE, _AFTER = timedelta(days=1), timedelta(days=400)


def are_ours(spawner: Any) -> bool:
    """Tell whether the certificates of this server are ours to make and to bring to its node.

    They are not where a subclass of the site does that itself.
    """
    own = type(spawner)
    return bool(spawner.internal_ssl) and (own.create_certs, own.move_certs) == (
        Spawner.create_certs,
        Spawner.move_certs,
    )


def entry_certificate(spawner: Any) -> str:
    """Return what lets a job in at the Hub's port, and is no server's certificate."""
    return _packed(spawner, [_NO_HOST], [ExtendedKeyUsageOID.CLIENT_AUTH])


async def server_certificate(spawner: Any, host: str) -> str:
    """Return what makes a job's server trustworthy on its host, as the Hub calls it."""
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _packed(spawner, [host, *await _configured_names(spawner)], usages)


async def _configured_names(spawner: Any) -> list[str]:
    """Return what `ssl_alt_names` adds, such as ``DNS:*.cluster``."""
    names = spawner.ssl_alt_names
    if callable(names):
        names = names(spawner)
        if isawaitable(names):
            names = await names
    return [name.partition(":")[2] for name in names]


def _packed(spawner: Any, names: Sequence[str], usages: list[x509.ObjectIdentifier]) -> str:
    """Return a new key with its certificate and all that is to be trusted, in one word."""
    key, certificate = _signed(spawner, names, usages)
    files = {
        "name": f"{hub_word(spawner)}-{spawner.orm_spawner.id}-tls",
        "KEYFILE": key,
        "CERTFILE": certificate,
        "CLIENT_CA": Path(spawner.internal_trust_bundles[_AUTHORITY]).read_text(),
    }
    return base64.b64encode(json.dumps(files).encode()).decode()


def _signed(
    spawner: Any, names: Sequence[str], usages: list[x509.ObjectIdentifier]
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


def _authority(spawner: Any) -> tuple[x509.Certificate, Any]:
    """Return certificate and key of JupyterHub's authority for servers."""
    from certipy import Certipy

    files = Certipy(store_dir=spawner.internal_certs_location).store.get_record(_AUTHORITY)["files"]
    return (
        x509.load_pem_x509_certificate(Path(files["cert"]).read_bytes()),
        load_pem_private_key(Path(files["key"]).read_bytes(), None),
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
