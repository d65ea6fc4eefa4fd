"""The server to which the agents of our jobs connect.

docs/agent.md describes the protocol. Nothing that arrives is parsed before the other side has
proved that it has the key of its call, and nothing is ever unpickled here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import socket
from typing import TYPE_CHECKING

from ..agent.call_home import keep_alive
from ..agent.protocol import CHUNK_BYTES, MAGIC, ProtocolError, Unpacker, frame_keys, pack, proof
from ..concurrency import BackgroundTasks, within
from ..errors import BatchError
from .call_folder import calls_folder
from .relay import listen, own_addresses
from .tls import Encryption, own_certificate, wanted
from .unknown_connections import UnknownConnections

if TYPE_CHECKING:
    import ssl

    from ..agent.protocol import Frame, Header
    from .agent_handle import AgentHandle
    from .call_folder import CallFolder

log = logging.getLogger(__name__)

_HANDSHAKE_TIMEOUT_S = 10.0

_ACCEPT_RETRY_S = 0.5
"""Pause after a connection could not be accepted: this process may have too many open files."""

_TLS_RECORD = b"\x16"
"""First byte of a TLS handshake: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""


class Listener:
    """A listening port for the agents of any number of calls.

    Get it from `open`. `driver` is a random word, by which an agent notices that the driver was
    restarted. `addresses` are the hosts and ports at which this machine may be reached.
    `certificate` is that of the encrypted connections (PEM), empty if there are none. Only with
    `takes_plain`, agents may connect whose Python cannot encrypt.
    """

    def __init__(
        self,
        server: socket.socket,
        tls: ssl.SSLContext | None,
        certificate: str,
        *,
        takes_plain: bool,
    ) -> None:
        self.driver = secrets.token_hex(8)
        self.certificate = certificate
        self.takes_plain = takes_plain
        self.addresses: list[tuple[str, int]] = []
        self._server, self._tls = server, tls
        self._calls: dict[bytes, CallFolder] = {}
        self._connections = BackgroundTasks()
        self._unknown = UnknownConnections()

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
        its own. Without `tls`, one is made, unless BATCHSPAWNER_CALL_TLS is 0. Raises OSError if
        the address is not available, BatchError if no certificate can be made that is required.
        """
        choice = Encryption.REQUIRED if tls else wanted()
        if tls is None and choice is not Encryption.OFF:
            loop = asyncio.get_running_loop()
            try:
                tls, certificate = await loop.run_in_executor(None, own_certificate, calls_folder())
            except (BatchError, OSError) as error:
                if choice is Encryption.REQUIRED:
                    raise
                log.warning("What this program and its jobs say can be read by others: %s", error)
        server = _listening_socket(host, port)
        server.setblocking(False)
        self = cls(server, tls, certificate, takes_plain=choice is not Encryption.REQUIRED)
        found = int(server.getsockname()[1])
        self.addresses = [(name, found) for name in ([host] if host else own_addresses())]
        self._listen()
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
        asyncio.get_running_loop().remove_reader(self._server)
        self._server.close()
        # A task that is cancelled before it begins would not close its connection.
        await asyncio.sleep(0)
        self._connections.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _listen(self) -> None:
        if self._server.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._server, self._accept)

    def _accept(self) -> None:
        """Accept one connection; called when there is one."""
        loop = asyncio.get_running_loop()
        try:
            connection, address = self._server.accept()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            loop.remove_reader(self._server)
            loop.call_later(_ACCEPT_RETRY_S, self._listen)
            return
        connection.setblocking(False)
        task = self._connections.start(self._serve(connection))
        self._unknown.add(task, str(address[0]))

    async def _serve(self, connection: socket.socket) -> None:
        """Serve one connection, from its first byte to its end."""
        task = asyncio.current_task()
        close = connection.close
        try:
            await within(_HANDSHAKE_TIMEOUT_S, _readable(connection))
            self._unknown.note_speech(task)
            reader, writer = await within(_HANDSHAKE_TIMEOUT_S, self._streams(connection))
            close = writer.transport.abort
            call, nonces = await within(_HANDSHAKE_TIMEOUT_S, self._handshake(reader, writer))
            self._unknown.discard(task)
            close = writer.close
            keep_alive(writer.get_extra_info("socket"))
            await self._follow(call, nonces, reader, writer)
        except (OSError, ProtocolError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # a stranger is not worth a log line, and an agent connects again
        finally:
            self._unknown.discard(task)
            close()

    async def _streams(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the streams of a connection, decrypted if the other side encrypts."""
        is_encrypted = connection.recv(1, socket.MSG_PEEK) == _TLS_RECORD
        if (is_encrypted and self._tls is None) or not (is_encrypted or self.takes_plain):
            raise ProtocolError("one side encrypts, and the other does not")
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls if is_encrypted else None
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _follow(
        self,
        call: CallFolder,
        nonces: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Handle what an agent sends, until it hangs up."""
        up, down = frame_keys(call.key, nonces)

        def connect() -> _SocketConnection:
            return _SocketConnection(self.driver, call, down, writer)

        unpacker = Unpacker(up)
        agent: AgentHandle | None = None
        try:
            while data := await reader.read(CHUNK_BYTES):
                for header, payload in unpacker.feed(data):
                    agent = call.handle(header, payload, connect) or agent
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

    def __init__(
        self, driver: str, call: CallFolder, key: bytes, writer: asyncio.StreamWriter
    ) -> None:
        self.driver, self.key = driver, key
        self.is_private = writer.get_extra_info("ssl_object") is not None
        self.writer: asyncio.StreamWriter | None = writer
        self._call, self._writer = call, writer

    def send(self, header: Header, payload: bytes = b"") -> None:
        if not self._writer.is_closing():
            self._writer.write(pack(self.key, header, payload))

    def without_secrets(self, header: Header, payload: bytes) -> Frame:
        if self.is_private or header["type"] != "start":
            return header, payload
        self._call.order(header, payload, header["agent"])
        return {"type": "orders", "agent": header["agent"], "seq": header["seq"]}, b""

    async def drained(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.drain()


async def _readable(connection: socket.socket) -> None:
    """Wait until something has arrived."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(connection, arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(connection)


def _listening_socket(host: str, port: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    return listen(port)
