"""The connection from a job to the driver, and the handshake in which both prove the key."""

from __future__ import annotations

import hmac
import os
import socket

from .protocol import MAGIC, ProtocolError, frame_keys, proof

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from .protocol import CallSettings


def call_home(call: CallSettings, timeout: float = 5.0) -> tuple[socket.socket, bytes, bytes]:
    """Connect to the first address that proves the key.

    Return the socket, the key of frames from the agent and that of frames to it. `timeout` is in
    seconds. Raises OSError or ProtocolError, of the last address.
    """
    problem: Exception = OSError("there is no address to call")
    for host, port in call["addresses"]:
        try:
            connection = socket.create_connection((host, port), timeout)
            try:
                connection = _encrypted(connection, call)
                return _handshake(connection, call)
            except BaseException:
                connection.close()
                raise
        except (OSError, ProtocolError) as error:
            problem = error
    raise problem


def _encrypted(connection: socket.socket, call: CallSettings) -> socket.socket:
    if not call.get("certificate"):
        return connection
    try:
        import ssl
    except ImportError as error:
        if call.get("plain"):
            return connection
        raise ProtocolError(f"this Python cannot encrypt the connection: {error}") from error
    context = ssl.create_default_context(cadata=call["certificate"])
    context.check_hostname = False  # the key tells whether it is the right one
    return context.wrap_socket(connection)


def _handshake(connection: socket.socket, call: CallSettings) -> tuple[socket.socket, bytes, bytes]:
    key, call_id = bytes.fromhex(call["key"]), bytes.fromhex(call["id"])
    mine = os.urandom(32)
    connection.sendall(MAGIC + call_id + mine)
    answer = b""
    while len(answer) < 64:
        data = connection.recv(64 - len(answer))
        if not data:
            raise ProtocolError("the listener hung up: it does not know this call")
        answer += data
    nonces = mine + answer[:32]
    if not hmac.compare_digest(answer[32:], proof(key, b"driver", call_id, nonces)):
        raise ProtocolError("the listener does not have the key of this call")
    connection.sendall(proof(key, b"agent", call_id, nonces))
    keep_alive(connection)
    return (connection, *frame_keys(key, nonces))


def keep_alive(connection: socket.socket) -> None:
    """Set socket options that make the system notice within a minute that the peer is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("KEEPIDLE", 20), ("KEEPINTVL", 10), ("KEEPCNT", 3)):
        option: int | None = getattr(socket, "TCP_" + name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 50_000)
