"""Sockets for the five channels of a kernel, towards its clients and towards the kernel.

https://jupyter-client.readthedocs.io/en/stable/messaging.html
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, NamedTuple

import zmq
import zmq.asyncio

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIENT_SOCKETS = {
    "shell": zmq.ROUTER,
    "iopub": zmq.PUB,
    "stdin": zmq.ROUTER,
    "control": zmq.ROUTER,
    "hb": zmq.ROUTER,
}
_KERNEL_SOCKETS = {
    "shell": zmq.DEALER,
    "iopub": zmq.SUB,
    "stdin": zmq.DEALER,
    "control": zmq.DEALER,
}

CHANNELS = tuple(_CLIENT_SOCKETS)


class Curve(NamedTuple):
    """CurveZMQ key pair that a kernel and its clients share.

    https://rfc.zeromq.org/spec/26/
    """

    public: bytes
    secret: bytes

    @classmethod
    def of(cls, connection: Mapping[str, object]) -> Curve | None:
        """Return the keys of a connection file, if it has any."""
        public, secret = (connection.get(f"curve_{name}key") for name in ("public", "secret"))
        return cls(str(public).encode(), str(secret).encode()) if public and secret else None


def serve(
    transport: str,
    ip: str,
    ports: dict[str, int],
    curve: Curve | None,
) -> dict[str, zmq.asyncio.Socket]:
    """Bind a socket for each channel, and add its port to `ports`, as in ``shell_port``.

    A port that is there already is tried first.
    """
    sockets = {}
    for number, name in enumerate(CHANNELS, 1):
        socket = _socket(_CLIENT_SOCKETS[name])
        if curve:
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = curve
        if transport == "tcp":
            ports[f"{name}_port"] = _bound(socket, ip, ports.get(f"{name}_port", 0))
        else:
            ports[f"{name}_port"] = number
            socket.bind(f"{transport}://{ip}-{number}")
        sockets[name] = socket
    return sockets


def _bound(socket: zmq.asyncio.Socket, ip: str, port: int) -> int:
    if port:
        with contextlib.suppress(zmq.ZMQError):
            socket.bind(f"tcp://{ip}:{port}")
            return port
    return socket.bind_to_random_port(f"tcp://{ip}")


def connect(addresses: Mapping[str, str], curve: Curve | None) -> dict[str, zmq.asyncio.Socket]:
    """Connect a socket to each channel of a kernel except its heartbeat.

    `addresses` are those of ZeroMQ, such as ``tcp://10.0.0.7:4711``, by channels.
    """
    sockets = {}
    # A new one each time: the kernel may not have noticed yet that the last one is gone.
    identity = secrets.token_bytes(8).hex().encode()
    for name, kind in _KERNEL_SOCKETS.items():
        socket = _socket(kind)
        # The kernel asks for input() on the stdin socket with the identity of the shell socket.
        socket.identity = identity
        # The kernel may not listen yet.
        socket.reconnect_ivl = 10
        socket.reconnect_ivl_max = 50
        socket.tcp_keepalive, socket.tcp_keepalive_idle = 1, 60
        if name == "iopub":
            socket.subscribe(b"")
        if curve:
            socket.curve_serverkey = curve.public
            socket.curve_publickey, socket.curve_secretkey = curve
        socket.connect(addresses[name])
        sockets[name] = socket
    return sockets


def _socket(kind: int) -> zmq.asyncio.Socket:
    socket = zmq.asyncio.Context.instance().socket(kind)
    # No limit, as a full queue would drop messages.
    socket.sndhwm = socket.rcvhwm = 0
    return socket
