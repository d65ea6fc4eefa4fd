"""Connect from a job to whoever submitted it, and prove to each other that one has the key."""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import socket

from .wire import MAGIC, ProtocolError, frame_keys, proof

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from typing import Any


def call_home(call: dict[str, Any], timeout: float = 5.0) -> tuple[socket.socket, bytes, bytes]:
    """Connect to the first address that proves the key; return socket and keys of its frames.

    Raises OSError or ProtocolError, of the last address.
    """
    problem: Exception = OSError("there is no address to call")
    for host, port in call["addresses"]:
        try:
            connection = socket.create_connection((host, port), timeout)
            try:
                return _greet(_encrypted(connection, call), call)
            except BaseException:
                connection.close()
                raise
        except (OSError, ProtocolError) as error:
            problem = error
    raise problem


def _encrypted(connection: socket.socket, call: dict[str, Any]) -> socket.socket:
    if not call.get("certificate"):
        return connection
    import ssl

    context = ssl.create_default_context(cadata=call["certificate"])
    context.check_hostname = False  # the key tells whether it is the right one
    return context.wrap_socket(connection)


def _greet(connection: socket.socket, call: dict[str, Any]) -> tuple[socket.socket, bytes, bytes]:
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
    """Let the system notice within a minute that the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("KEEPIDLE", 20), ("KEEPINTVL", 10), ("KEEPCNT", 3)):
        if hasattr(socket, "TCP_" + name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_" + name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 50_000)


def append(file: str, data: bytes) -> None:
    """Append to a file that several write; it is on the disk when this returns."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # Appending is not atomic on every network file system, so a lock does it where one works.
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
