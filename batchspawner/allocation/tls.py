"""Encryption between agents and driver, with a certificate that each driver makes for itself.

The agent reads the certificate from the same private file as the key of its call, and trusts no
other.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from pathlib import Path

from ..errors import BatchError

VARIABLE = "BATCHSPAWNER_CALL_TLS"
"""The environment variable that turns encryption on, unless it is empty or ``0``."""

_VALIDITY_DAYS = 365


def is_wanted() -> bool:
    """Return whether the user or the site wants connections of agents to be encrypted."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def own_certificate() -> tuple[ssl.SSLContext, str]:
    """Create a key and its certificate; return a server's context, and the certificate as PEM.

    Raises BatchError if the library cryptography is missing.
    """
    try:
        key, certificate = _signed()
    except ImportError as error:
        raise BatchError(
            f"{VARIABLE} is set, but there is no cryptography ({error}): "
            "pip install cryptography, or unset it"
        ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The module ssl reads keys from files only.
    with tempfile.TemporaryDirectory(prefix="bs-") as name:
        file = Path(name, "both.pem")
        file.touch(0o600)
        file.write_bytes(key + certificate)
        context.load_cert_chain(file)
    return context, certificate.decode()


def _signed() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "batchspawner")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = dict.fromkeys(_USAGES, False)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        # The clock of a node may be behind ours.
        not_valid_before=now - day,
        not_valid_after=now + _VALIDITY_DAYS * day,
    )
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(**{**usage, "digital_signature": True, "key_cert_sign": True}), True),
        (identifier, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ):
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return (
        key.private_bytes(serialization.Encoding.PEM, *form),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
