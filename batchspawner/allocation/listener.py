"""Listen for the agents of our jobs, and tell them what to do.

docs/agent.md describes the protocol. Nothing of what arrives is looked at before the other side
has proved the key of its call, and nothing of it is ever unpickled here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import socket
from typing import TYPE_CHECKING, Any

from ..agent.calling import keep_alive
from ..agent.wire import CHUNK, MAGIC, ProtocolError, Unpacker, frame_keys, pack, proof
from ..concurrency import within
from .relay import listen, own_addresses
from .tls import is_wanted, own_certificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from .agent_handle import AgentHandle
    from .call_folder import CallFolder

_GREETING = 10.0
"""Seconds that who connects has to prove its key."""

_STRANGERS = 256
"""Connections, at most, that have not proved a key yet."""


class Listener:
    """Accept the agents of any number of calls, at one port.

    Make it by `open`. `driver` is a random word: an agent that hears another one knows that the
    driver was restarted.
    """

    def __init__(self, certificate: str = "") -> None:
        self.driver = secrets.token_hex(8)
        self.certificate = certificate
        self.addresses: list[tuple[str, int]] = []
        self._calls: dict[bytes, CallFolder] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._strangers = 0

    @classmethod
    async def open(
        cls,
        host: str = "",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        certificate: str = "",
    ) -> Listener:
        """Listen at a port, a free one for 0, on `host` or on every address of this machine.

        `tls` encrypts what is said; `certificate` is the PEM text of what its certificate is signed
        by. Without it, BATCHSPAWNER_CALL_TLS says whether a certificate is made. Raises OSError
        where the address cannot be had, BatchError where no certificate can be made.
        """
        if tls is None and is_wanted():
            loop = asyncio.get_running_loop()
            tls, certificate = await loop.run_in_executor(None, own_certificate)
        self = cls(certificate)
        server = _socket(host, port)
        self._server = await asyncio.start_server(
            self._accept, sock=server, ssl=tls, ssl_handshake_timeout=_GREETING if tls else None
        )
        found = server.getsockname()[1]
        self.addresses = [(name, found) for name in ([host] if host else own_addresses())]
        return self

    def expect(self, call: CallFolder) -> None:
        """Let the agents of a call in, and write down for them where we listen."""
        call.attach(self)
        self._calls[call.id] = call

    def forget(self, call: CallFolder) -> None:
        self._calls.pop(call.id, None)

    async def close(self) -> None:
        """Hang up; the agents go on, and look for us."""
        if self._server is not None:
            self._server.close()
        for one in self._connections:
            one.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (start_server runs this as one)
        if self._strangers >= _STRANGERS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, ProtocolError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # strangers are nobody's business, and an agent comes again
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._strangers += 1
        try:
            call, nonces = await within(_GREETING, self._greet(reader, writer))
        finally:
            self._strangers -= 1
        keep_alive(writer.get_extra_info("socket"))
        up, down = frame_keys(call.key, nonces)
        unpacker = Unpacker(up)
        agent: AgentHandle | None = None
        try:
            while data := await reader.read(CHUNK):
                for header, payload in unpacker.feed(data):
                    if header["type"] == "hello":
                        agent = call.hello(header, _Connection(self.driver, down, writer))
                    else:
                        call.heard(header, payload)
                if agent is not None:
                    agent.acknowledge()
        finally:
            if agent is not None:
                agent.disconnected(writer)

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[CallFolder, bytes]:
        greeting = await reader.readexactly(len(MAGIC) + 16 + 32)
        call = self._calls.get(greeting[len(MAGIC) : len(MAGIC) + 16])
        if greeting[: len(MAGIC)] != MAGIC or call is None:
            raise ProtocolError("nobody that we wait for")
        mine = secrets.token_bytes(32)
        nonces = greeting[-32:] + mine
        writer.write(mine + proof(call.key, b"driver", call.id, nonces))
        answer = await reader.readexactly(32)
        if not hmac.compare_digest(answer, proof(call.key, b"agent", call.id, nonces)):
            raise ProtocolError("the agent does not have the key of its call")
        return call, nonces


class _Connection:
    """Send frames to an agent, which confirms them."""

    confirms = True

    def __init__(self, driver: str, key: bytes, writer: asyncio.StreamWriter) -> None:
        self.driver, self.key, self.writer = driver, key, writer

    def send(self, header: Mapping[str, Any], payload: bytes = b"") -> None:
        if not self.writer.is_closing():
            self.writer.write(pack(self.key, dict(header), payload))

    async def drained(self) -> None:
        with contextlib.suppress(OSError):
            await self.writer.drain()


def _socket(host: str, port: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    return listen(port)
