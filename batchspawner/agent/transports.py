"""The ways in which frames go between agent and driver: a connection, or files."""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
from collections import deque

from .protocol import CHUNK_BYTES, ProtocolError, Unpacker, frame_keys, pack

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from typing import Callable, Protocol

    from .outbox import Outbox
    from .protocol import Frame, Header

    class Transport(Protocol):
        """A way to the driver; `address` is our own address on it.

        If it `is_polled`, orders are read from a file from time to time.
        """

        address: str
        is_polled: bool

        def send(self, header: Header) -> None:
            """Send a frame that has no number, before those of the outbox."""

        def flush(self) -> None:
            """Send as much of the outbox as is possible now."""


_RETRY_LATER = (BlockingIOError, InterruptedError)


class SocketTransport:
    """Frames over a connection to the driver.

    `on_frames` is called with the frames that arrive, `on_lost` when the connection is lost.
    """

    is_polled = False

    def __init__(
        self,
        connection: socket.socket,
        keys: tuple[bytes, bytes],
        outbox: Outbox,
        selector: selectors.BaseSelector,
        *,
        on_frames: Callable[[Iterable[Frame]], None],
        on_lost: Callable[[], None],
    ) -> None:
        connection.setblocking(False)
        self.address = str(connection.getsockname()[0])
        self._connection, self._outbox, self._selector = connection, outbox, selector
        self._key = keys[0]
        self._unpacker = Unpacker(keys[1])
        self._on_frames, self._on_lost = on_frames, on_lost
        self._waiting = memoryview(b"")
        self._first: deque[bytes] = deque()
        self._mask = selectors.EVENT_READ
        selector.register(connection, self._mask, self._ready)

    def send(self, header: Header) -> None:
        self._first.append(pack(self._key, header))
        self.flush()

    def flush(self) -> None:
        if self._connection.fileno() < 0:
            return
        unsent = self._outbox.unsent()
        try:
            while True:
                if not self._waiting:
                    self._waiting = memoryview(
                        self._first.popleft() if self._first else pack(self._key, *next(unsent))
                    )
                self._waiting = self._waiting[self._connection.send(self._waiting) :]
        except StopIteration:
            self._select(selectors.EVENT_READ)
        except OSError as error:
            if not _is_retried_later(error):
                self._lose(error)
                return
            self._select(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _ready(self, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self._receive()
        self.flush()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(CHUNK_BYTES)
            # A TLS connection may hold more than the selector knows of.
            while getattr(self._connection, "pending", int)():
                data += self._connection.recv(CHUNK_BYTES)
            if not data:
                raise OSError("the driver hung up")
            self._on_frames(self._unpacker.feed(data))
        except (OSError, ProtocolError) as error:
            if not _is_retried_later(error):
                self._lose(error)

    def _select(self, mask: int) -> None:
        if mask != self._mask:
            self._mask = mask
            self._selector.modify(self._connection, mask, self._ready)

    def _lose(self, error: Exception) -> None:
        print(f"batchspawner agent: lost the connection: {error}", file=sys.stderr)
        self._selector.unregister(self._connection)
        self._connection.close()
        self._on_lost()


def _is_retried_later(error: Exception) -> bool:
    # ssl is imported only where it is used.
    return isinstance(error, _RETRY_LATER) or type(error).__name__.startswith("SSLWant")


class FileTransport:
    """Frames to the driver through the journal, for sites that allow no connection."""

    address = ""
    is_polled = True

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def send(self, header: Header) -> None:
        header = header.copy()
        header["seq"] = 0
        self._outbox.journal.write([(header, b"")])

    def flush(self) -> None:
        frames = list(self._outbox.unsent())
        if frames:
            self._outbox.journal.write(frames)
            self._outbox.confirmed(self._outbox.seq)


class OrderFile:
    """The file of orders: those that were given before the job began, or all of them."""

    def __init__(self, folder: str, key: bytes) -> None:
        self._file = os.path.join(folder, "orders")
        self._unpacker = Unpacker(frame_keys(key, b"journal")[1])
        self._offset = 0

    def read(self, agent_id: str, obey: Callable[[Header, bytes], None]) -> None:
        """Call `obey` with each order that is new in the file and meant for this agent."""
        with contextlib.suppress(FileNotFoundError), open(self._file, "rb") as file:
            file.seek(self._offset)
            while data := file.read(CHUNK_BYTES):
                self._offset += len(data)
                for header, payload in self._unpacker.feed(data):
                    if header.get("agent") in (None, agent_id):
                        obey(header, payload)
