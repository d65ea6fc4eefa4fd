"""The server to which the agents of our jobs connect.

docs/agent.md describes the protocol. Nothing that arrives is parsed before the other side has
proved that it has the key of its call, and nothing is ever unpickled here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import socket
from typing import TYPE_CHECKING

from ..agent.call_home import keep_alive
from ..agent.protocol import CHUNK_BYTES, MAGIC, ProtocolError, Unpacker, frame_keys, pack, proof
from ..concurrency import within
from .relay import listen, own_addresses
from .tls import is_wanted, own_certificate

if TYPE_CHECKING:
    import ssl

    from ..agent.protocol import Header
    from .agent_handle import AgentHandle
    from .call_folder import CallFolder

_HANDSHAKE_TIMEOUT_S = 10.0

_MAX_UNPROVED = 256
"""Connections at a time that have not proved a key yet."""


class Listener:
    """A listening port for the agents of any number of calls.

    Get it from `open`. `driver` is a random word, by which an agent notices that the driver was
    restarted. `addresses` are the hosts and ports at which this machine may be reached.
    """

    def __init__(self, certificate: str = "") -> None:
        self.driver = secrets.token_hex(8)
        self.certificate = certificate
        self.addresses: list[tuple[str, int]] = []
        self._calls: dict[bytes, CallFolder] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._unproved = 0

    @classmethod
    async def open(
        cls,
        host: str = "",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        certificate: str = "",
    ) -> Listener:
        """Listen at a port, 0 for a free one, on `host` or on every address of this machine.

        `tls` encrypts the connections; `certificate` is the PEM text of the certificate that signs
        its own. Without `tls`, BATCHSPAWNER_CALL_TLS says whether a certificate is made. Raises
        OSError if the address is not available, BatchError if no certificate can be made.
        """
        if tls is None and is_wanted():
            loop = asyncio.get_running_loop()
            tls, certificate = await loop.run_in_executor(None, own_certificate)
        self = cls(certificate)
        server = _listening_socket(host, port)
        self._server = await asyncio.start_server(
            self._accept,
            sock=server,
            ssl=tls,
            ssl_handshake_timeout=_HANDSHAKE_TIMEOUT_S if tls else None,
        )
        found = int(server.getsockname()[1])
        self.addresses = [(name, found) for name in ([host] if host else own_addresses())]
        return self

    def expect(self, call: CallFolder) -> None:
        """Accept the agents of a call, and write down for them where we listen."""
        call.attach(self)
        self._calls[call.id] = call

    def forget(self, call: CallFolder) -> None:
        """Accept the agents of a call no longer."""
        self._calls.pop(call.id, None)

    async def close(self) -> None:
        """Close the port and all connections; the agents go on, and look for us."""
        if self._server is not None:
            self._server.close()
        for one in self._connections:
            one.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (start_server runs this as one)
        if self._unproved >= _MAX_UNPROVED:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, ProtocolError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # a stranger is not worth a log line, and an agent connects again
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._unproved += 1
        try:
            call, nonces = await within(_HANDSHAKE_TIMEOUT_S, self._handshake(reader, writer))
        finally:
            self._unproved -= 1
        keep_alive(writer.get_extra_info("socket"))
        up, down = frame_keys(call.key, nonces)
        unpacker = Unpacker(up)
        agent: AgentHandle | None = None
        try:
            while data := await reader.read(CHUNK_BYTES):
                for header, payload in unpacker.feed(data):
                    if header["type"] == "hello":
                        agent = call.hello(header, _SocketConnection(self.driver, down, writer))
                    else:
                        call.receive(header, payload)
                if agent is not None:
                    agent.acknowledge()
        finally:
            if agent is not None:
                agent.disconnected(writer)

    async def _handshake(
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


class _SocketConnection:
    """A connection to an agent, which confirms what it receives."""

    confirms = True

    def __init__(self, driver: str, key: bytes, writer: asyncio.StreamWriter) -> None:
        self.driver, self.key = driver, key
        self.writer: asyncio.StreamWriter | None = writer
        self._writer = writer

    def send(self, header: Header, payload: bytes = b"") -> None:
        if not self._writer.is_closing():
            self._writer.write(pack(self.key, header, payload))

    async def drained(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.drain()


def _listening_socket(host: str, port: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    return listen(port)
