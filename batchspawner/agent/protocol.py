"""The protocol between agent and driver: proofs of a key, and frames.

A frame is a header, which is a JSON object, and a payload of bytes. docs/agent.md has the types of
frames and what is in their headers.
"""

from __future__ import annotations

import hmac
import json
import struct
from hashlib import blake2b

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypedDict

    # Keys of earlier releases, whose names the rest of the library does not use.
    _OldSettings = TypedDict("_OldSettings", {"patience": "float | None"}, total=False)
    _OldHeader = TypedDict("_OldHeader", {"tell_failure": bool}, total=False)

    class CallSettings(_OldSettings, total=False):
        """What `call.json` holds: what an agent needs to call home.

        `id` and `key` are hexadecimal, `addresses` are hosts with their ports, `certificate` is
        PEM text if the connection is encrypted; if `plain` is true, a Python that cannot encrypt
        connects all the same. `linger` and `patience` are how long to wait for
        the driver while no program, or some program, runs (None is without limit), `linger_after`
        how long after the last program; they and `runtime` are in seconds.
        """

        id: str
        key: str
        addresses: list[tuple[str, int]]
        certificate: str
        plain: bool
        python: str
        linger: float | None
        linger_after: float | None
        runtime: float | None
        identity: list[dict[str, str]]

    class Header(_OldHeader, total=False):
        """The header of a frame; which keys it has depends on its `type`."""

        type: str
        agent: str
        seq: int
        id: str
        # From the agent: hello.
        received: int
        driver: str
        host: str
        address: str
        pid: int
        python: list[int]
        job_id: str
        index: str
        began: float
        ends: float | None
        limits: dict[str, str]
        processes: dict[str, int]
        # How many in start, which ones in started, those of each program in hello.
        ports: Any
        # Both ways: data and hangup of a connection to a program. To the agent: connect.
        stream: str
        port: int
        socket: str
        # From the agent: output, which has a stream, too, and exit.
        code: int
        error: str
        out_of_memory: bool
        # To the agent: start, signal, finish.
        argv: list[str]
        env: dict[str, str]
        expand: dict[str, list[str]]
        cwd: str
        files: dict[str, str]
        close: bool
        number: int
        unattended: bool
        # Both ways: ack.
        upto: int

    Frame = tuple[Header, bytes]

MAGIC = b"BSC1"
MAC_BYTES = 16
MAX_PAYLOAD_BYTES = 1 << 26
MAX_HEADER_BYTES = 1 << 22
CHUNK_BYTES = 1 << 18
"""How much is read at once, and how much of a program's output one frame carries, at most."""

OWN_PYTHON = "{python}"
"""Word of a command for the Python in which the agent runs."""


_LENGTHS = struct.Struct("!II")


class ProtocolError(Exception):
    """The other side does not prove that it has the key, or does not follow the protocol."""


def proof(key: bytes, who: bytes, call_id: bytes, nonces: bytes) -> bytes:
    """Return the proof that `who`, b"agent" or b"driver", has the key of a call (HMAC-SHA-256).

    `nonces` are the 32 random bytes of the agent and those of the driver.
    """
    return hmac.new(key, b"proof " + who + call_id + nonces, "sha256").digest()


def frame_keys(key: bytes, nonces: bytes) -> tuple[bytes, bytes]:
    """Return the keys of one connection: of frames from the agent, and of frames to it."""
    up = hmac.new(key, b"frames from agent" + nonces, "sha256").digest()
    return up, hmac.new(key, b"frames to agent" + nonces, "sha256").digest()


def pack(key: bytes, header: Header, payload: bytes = b"") -> bytes:
    """Return a frame: two lengths, a header in JSON, a payload, and their MAC."""
    text = json.dumps(header, separators=(",", ":")).encode()
    lengths = _LENGTHS.pack(len(text), len(payload))
    mac = blake2b(lengths, key=key, digest_size=MAC_BYTES)
    mac.update(text)
    mac.update(payload)
    return b"".join((lengths, text, payload, mac.digest()))


def _header(text: bytes) -> Header:
    try:
        header: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header of a frame is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise ProtocolError("the header of a frame is no object")
    return header  # type: ignore[return-value]


class Unpacker:
    """A parser that splits a stream of bytes into frames and verifies their MACs."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield each frame that is complete with this data.

        Raises ProtocolError for a frame that is too long or whose MAC is wrong.
        """
        self._bytes += data
        start = 0
        with memoryview(bytes(self._bytes)) as view:
            while len(view) - start >= _LENGTHS.size:
                header, payload = self._lengths(view, start)
                if header > MAX_HEADER_BYTES or payload > MAX_PAYLOAD_BYTES:
                    raise ProtocolError("a frame is too long")
                end = start + _LENGTHS.size + header + payload
                if len(view) < end + MAC_BYTES:
                    break
                mac = blake2b(view[start:end], key=self._key, digest_size=MAC_BYTES).digest()
                if not hmac.compare_digest(mac, view[end : end + MAC_BYTES]):
                    raise ProtocolError("a frame was changed on its way")
                text = bytes(view[start + _LENGTHS.size : end - payload])
                yield _header(text), bytes(view[end - payload : end])
                start = end + MAC_BYTES
        del self._bytes[:start]

    @staticmethod
    def _lengths(view: memoryview, start: int) -> tuple[int, int]:
        header, payload = _LENGTHS.unpack_from(view, start)
        return int(header), int(payload)
