"""Encryption between agents and driver, with a certificate that this user's drivers make.

The agent reads the certificate from the same private file as the key of its call, and trusts no
other. Which side an agent is on is proved by that key.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import ssl
import stat
import time
from enum import Enum
from typing import TYPE_CHECKING

from ..errors import BatchError
from ..private_folders import make_folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLE = "BATCHSPAWNER_CALL_TLS"
"""The environment variable that says whether connections are encrypted: see `Encryption`."""

FILE_NAME = "certificate.pem"
"""Name of the file with the certificate and its key, in the folder of all calls."""

_RENEWAL_S = 30 * 86400.0
"""Seconds after which another certificate is made."""


class Encryption(Enum):
    """Whether connections of agents are encrypted."""

    OFF = "off"
    POSSIBLE = "where possible"
    """Unless a node's Python, or this one, cannot do it; then the user is told."""
    REQUIRED = "required"


def wanted() -> Encryption:
    """Return what the user or the site has chosen: ``0`` is off, any other word is required."""
    chosen = os.environ.get(VARIABLE, "")
    if not chosen:
        return Encryption.POSSIBLE
    return Encryption.OFF if chosen == "0" else Encryption.REQUIRED


def own_certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server's context, and its certificate as PEM.

    It is kept in the folder, for at most a month: making one takes longer than the start of an
    agent. Raises BatchError if the library cryptography is missing.
    """
    file = folder / FILE_NAME
    with contextlib.suppress(OSError, ValueError):
        return _stored(file)
    make_folders(folder)
    key, certificate = _signed()
    with _private_file(file, key + certificate) as new:
        return _context(new), certificate.decode()


def _stored(file: Path) -> tuple[ssl.SSLContext, str]:
    """Return what `own_certificate` does, from its file. Raises OSError or ValueError."""
    text = _own_text(file)
    context = _context(file)
    if _own_text(file) != text:
        raise ValueError(file)  # another process has replaced it
    return context, text[text.index("-----BEGIN CERTIFICATE-----") :]


def _own_text(file: Path) -> str:
    """Return the content of a file that nobody else could write or read, and that is not old.

    Raises OSError, or ValueError if it is old.
    """
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as opened:
        status = os.fstat(opened.fileno())
        private = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
        if not private or status.st_uid != os.geteuid():
            raise PermissionError(file)
        if not 0 <= time.time() - status.st_mtime < _RENEWAL_S:
            raise ValueError(file)
        return opened.read()


@contextlib.contextmanager
def _private_file(file: Path, content: bytes) -> Iterator[Path]:
    """Write a file (0600) under another name, which it gets when the block ends."""
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    yield new
    new.replace(file)


def _context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    return context


def _signed() -> tuple[bytes, bytes]:
    """Return a new key and its certificate. Raises BatchError."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise BatchError(
            f"connections of jobs cannot be encrypted, because there is no cryptography ({error}): "
            "pip install cryptography"
        ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "batchspawner")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = dict.fromkeys(_USAGES, False)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        # An agent trusts this one and no other, whatever the clock of its node says.
        not_valid_before=datetime.datetime(2000, 1, 1),
        not_valid_after=datetime.datetime(2100, 1, 1),
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
