"""Connections to what programs of the job listen on, which frames carry to the driver."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from collections import deque

from .protocol import CHUNK_BYTES

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from .child_process import ChildProcess
    from .outbox import Outbox
    from .protocol import Header

_CONNECT_TIMEOUT_S = 1.0


class Streams:
    """The connections of one agent, by the ids that the driver has given them."""

    def __init__(self, selector: selectors.BaseSelector, outbox: Outbox) -> None:
        self._selector, self._outbox = selector, outbox
        self._streams: dict[str, _Stream] = {}

    def obey(self, order: Header, payload: bytes, child: ChildProcess | None) -> None:
        """Carry out an order about a connection to a program."""
        stream = self._streams.get(order["stream"])
        if order["type"] == "connect":
            self._connect(order, child)
        elif stream is not None and order["type"] == "data":
            stream.pending.append(payload)
            self._write(stream)
        elif stream is not None:
            self._close(stream)

    def close(self) -> None:
        """Close all connections, because the driver that knew them is gone."""
        for stream in list(self._streams.values()):
            self._close(stream)

    def _connect(self, order: Header, child: ChildProcess | None) -> None:
        try:
            if child is None:
                raise ProcessLookupError
            connection = _connection(order, child)
        except OSError:
            # The program may not listen yet; the driver's side tries again.
            self._outbox.put({"type": "hangup", "id": order["id"], "stream": order["stream"]})
            return
        stream = _Stream(order["id"], order["stream"], connection)
        self._streams[stream.id] = stream
        self._selector.register(connection, stream.mask, lambda mask: self._ready(stream, mask))

    def _ready(self, stream: _Stream, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._write(stream)
        if mask & selectors.EVENT_READ and stream.id in self._streams:
            self._read(stream)

    def _read(self, stream: _Stream) -> None:
        if self._outbox.is_full:
            time.sleep(0.002)  # the driver is slower than the program, which has to wait
            return
        try:
            data = stream.connection.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        header: Header = {"type": "data", "id": stream.process, "stream": stream.id}
        if not data:
            header["type"] = "hangup"
            self._close(stream)
        self._outbox.put(header, data)

    def _write(self, stream: _Stream) -> None:
        # If the program has closed the connection, reading says so.
        with contextlib.suppress(OSError):
            while stream.pending:
                sent = stream.connection.send(stream.pending[0])
                stream.pending[0] = stream.pending[0][sent:]
                if not stream.pending[0]:
                    stream.pending.popleft()
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.pending else 0)
        if mask != stream.mask:
            stream.mask = mask
            callback = self._selector.get_key(stream.connection).data
            self._selector.modify(stream.connection, mask, callback)

    def _close(self, stream: _Stream) -> None:
        del self._streams[stream.id]
        self._selector.unregister(stream.connection)
        stream.connection.close()


class _Stream:
    """A connection to a program; `pending` is what that has not taken yet."""

    def __init__(self, process: str, stream_id: str, connection: socket.socket) -> None:
        self.process, self.id, self.connection = process, stream_id, connection
        self.pending: deque[bytes] = deque()
        self.mask = selectors.EVENT_READ


def _connection(order: Header, child: ChildProcess) -> socket.socket:
    """Connect to the socket in the program's folder, or the port, that an order names."""
    if order.get("socket"):
        connection = socket.socket(socket.AF_UNIX)
        address: str | tuple[str, int] = os.path.join(
            child.folder, os.path.basename(order["socket"])
        )
    else:
        connection = socket.socket()
        address = ("127.0.0.1", child.ports[order["port"]])
    try:
        connection.settimeout(_CONNECT_TIMEOUT_S)
        connection.connect(address)
        connection.setblocking(False)
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        connection.close()
        raise
    return connection
