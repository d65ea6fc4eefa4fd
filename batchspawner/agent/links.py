"""Carry frames between agent and driver: over a connection, or through files."""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
from collections import deque

from .calling import append
from .wire import CHUNK, ProtocolError, Unpacker, frame_keys, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from .core import Agent

_LATER = (BlockingIOError, InterruptedError)


class Link:
    """Carry frames over a connection."""

    def __init__(self, agent: Agent, connection: socket.socket, up: bytes, down: bytes) -> None:
        connection.setblocking(False)
        self.agent, self.connection, self.key = agent, connection, up
        self.address: str = connection.getsockname()[0]
        self._unpacker = Unpacker(down)
        self._waiting = memoryview(b"")
        self._first: deque[bytes] = deque()
        self._mask = selectors.EVENT_READ
        agent.selector.register(connection, self._mask, self._ready)

    def send(self, header: dict[str, Any]) -> None:
        """Send what has no number, before all that waits."""
        self._first.append(pack(self.key, header))
        self.flush()

    def flush(self) -> None:
        """Send as much as the connection takes."""
        if self.connection.fileno() < 0:
            return
        unsent = self.agent.outbox.unsent()
        try:
            while True:
                if not self._waiting:
                    self._waiting = memoryview(
                        self._first.popleft() if self._first else pack(self.key, *next(unsent))
                    )
                self._waiting = self._waiting[self.connection.send(self._waiting) :]
        except StopIteration:
            self._want(selectors.EVENT_READ)
        except OSError as error:
            if not _is_for_later(error):
                self._lose(error)
                return
            self._want(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _ready(self, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self._receive()
        self.flush()

    def _receive(self) -> None:
        try:
            data = self.connection.recv(CHUNK)
            # A TLS connection may hold more than the system tells of.
            while getattr(self.connection, "pending", int)():
                data += self.connection.recv(CHUNK)
            if not data:
                raise OSError("the driver hung up")
            before = self.agent.received
            for header, payload in self._unpacker.feed(data):
                self.agent.heard(header, payload)
            if self.agent.received != before:
                self.send({"type": "ack", "agent": self.agent.id, "upto": self.agent.received})
        except (OSError, ProtocolError) as error:
            if not _is_for_later(error):
                self._lose(error)

    def _want(self, mask: int) -> None:
        if mask != self._mask:
            self._mask = mask
            self.agent.selector.modify(self.connection, mask, self._ready)

    def _lose(self, error: Exception) -> None:
        print(f"batchspawner agent: lost the connection: {error}", file=sys.stderr)
        self.agent.selector.unregister(self.connection)
        self.connection.close()
        self.agent.lost()


def _is_for_later(error: Exception) -> bool:
    # ssl is imported only where it is used.
    return isinstance(error, _LATER) or type(error).__name__.startswith("SSLWant")


class Files:
    """Carry frames through the journal, where no connection is allowed."""

    address = ""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def send(self, header: dict[str, Any]) -> None:
        box = self.agent.outbox
        append(box.file, pack(box.key, {**header, "seq": 0}))

    def flush(self) -> None:
        box = self.agent.outbox
        frames = b"".join(pack(box.key, *frame) for frame in box.unsent())
        if frames:
            append(box.file, frames)
            box.confirmed(box.seq)


class Orders:
    """Read orders from a file: those that were given before the job began, or all of them."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.file = os.path.join(agent.folder, "orders")
        self._unpacker = Unpacker(frame_keys(bytes.fromhex(agent.call["key"]), b"journal")[1])
        self._offset = 0

    def read(self) -> None:
        """Do what is new in the file and for this agent, or for the job's element that it is."""
        with contextlib.suppress(FileNotFoundError), open(self.file, "rb") as file:
            file.seek(self._offset)
            while data := file.read(CHUNK):
                self._offset += len(data)
                for header, payload in self._unpacker.feed(data):
                    if header.get("agent") in (None, self.agent.id):
                        self.agent.obey(header, payload)
