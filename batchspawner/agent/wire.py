"""Say how agent and driver speak with each other: proofs of a key, and frames."""

from __future__ import annotations

import hmac
import json
import struct
from hashlib import blake2b

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAGIC = b"BSC1"
MAC = 16
FRAME_LIMIT = 1 << 26
"""Bytes of a frame's payload, at most."""

HEADER_LIMIT = 1 << 22
CHUNK = 1 << 18
"""Bytes that are read at once, and of a program's output in one frame, at most."""

_LENGTHS = struct.Struct("!II")


class ProtocolError(Exception):
    """Say that the other side does not prove its key, or speaks another language."""


def proof(key: bytes, who: bytes, call_id: bytes, nonces: bytes) -> bytes:
    """Return what only somebody who has the key can answer to these nonces."""
    return hmac.new(key, b"proof " + who + call_id + nonces, "sha256").digest()


def frame_keys(key: bytes, nonces: bytes) -> tuple[bytes, bytes]:
    """Return the keys of one connection's frames: of those from the agent, of those to it."""
    up = hmac.new(key, b"frames from agent" + nonces, "sha256").digest()
    return up, hmac.new(key, b"frames to agent" + nonces, "sha256").digest()


def pack(key: bytes, header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Return a frame: two lengths, a header in JSON, a payload, and their MAC."""
    text = json.dumps(header, separators=(",", ":")).encode()
    lengths = _LENGTHS.pack(len(text), len(payload))
    mac = blake2b(lengths, key=key, digest_size=MAC)
    mac.update(text)
    mac.update(payload)
    return b"".join((lengths, text, payload, mac.digest()))


class Unpacker:
    """Cut a stream of bytes into frames, and refuse those that do not carry the key's MAC."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield each frame that is complete now. Raises ProtocolError."""
        self._bytes += data
        start = 0
        with memoryview(bytes(self._bytes)) as view:
            while len(view) - start >= _LENGTHS.size:
                header, payload = _LENGTHS.unpack_from(view, start)
                if header > HEADER_LIMIT or payload > FRAME_LIMIT:
                    raise ProtocolError("a frame is too long")
                end = start + _LENGTHS.size + header + payload
                if len(view) < end + MAC:
                    break
                mac = blake2b(view[start:end], key=self._key, digest_size=MAC).digest()
                if not hmac.compare_digest(mac, view[end : end + MAC]):
                    raise ProtocolError("a frame was changed on its way")
                text = bytes(view[start + _LENGTHS.size : end - payload])
                yield json.loads(text), bytes(view[end - payload : end])
                start = end + MAC
        del self._bytes[:start]
