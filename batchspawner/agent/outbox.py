"""Keep what the driver has not confirmed yet: in memory, and in the journal while it is away."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque

from .calling import append
from .wire import CHUNK, Unpacker, frame_keys, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FULL = 1 << 23
"""Bytes that wait for the driver, at most; then programs have to wait with their output."""

SPILL = 1 << 20
"""Bytes that wait in memory while nobody listens, at most."""

_OVERHEAD = 200


class Outbox:
    """Number what is said, and forget it when the driver has it."""

    def __init__(self, agent_id: str, key: bytes, folder: str) -> None:
        self.id = agent_id
        self.file = os.path.join(folder, "journal")
        self.key = frame_keys(key, b"journal")[0]
        self.seq = 0
        self._frames: deque[tuple[dict[str, Any], bytes]] = deque()
        self._size = 0
        self._sent = 0
        self._spilled = False
        self._backlog: Iterator[tuple[dict[str, Any], bytes]] | None = None

    @property
    def is_full(self) -> bool:
        return self._size > FULL

    @property
    def is_empty(self) -> bool:
        return not self._frames and not self._spilled

    def put(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Say something that has to arrive, once."""
        self.seq += 1
        header = {**header, "agent": self.id, "seq": self.seq}
        if self._spilled:
            self._write([(header, payload)])
        else:
            self._remember(header, payload)

    def _remember(self, header: dict[str, Any], payload: bytes) -> None:
        self._frames.append((header, payload))
        self._size += len(payload) + _OVERHEAD

    def unsent(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield what this connection has not carried yet."""
        while self._sent < len(self._frames) or self._refill():
            self._sent += 1
            yield self._frames[self._sent - 1]

    def rewind(self) -> None:
        """Begin again with the oldest, on a new connection."""
        self._sent = 0

    def confirmed(self, seq: int) -> None:
        """Forget what the driver has."""
        while self._frames and self._frames[0][0]["seq"] <= seq:
            _, payload = self._frames.popleft()
            self._size -= len(payload) + _OVERHEAD
            self._sent = max(0, self._sent - 1)

    def resume(self, received: int) -> None:
        """Go on after the last frame that the driver has."""
        self.confirmed(received)
        if self._spilled:
            self._backlog = self._read(received)

    def spill(self) -> None:
        """Put what waits into the journal, where it is too much for the memory."""
        if self._spilled or self._size > SPILL:
            self.store()

    def store(self) -> None:
        """Put all that waits into the journal."""
        if not self._frames:
            return
        # What came out of the journal is there already.
        if not self._spilled:
            self._write(list(self._frames))
        self._frames.clear()
        self._size = self._sent = 0
        self._spilled = True
        self._backlog = None

    def _refill(self) -> bool:
        """Take the next frame out of the journal; after the last one, memory is enough again."""
        if self._backlog is None or self.is_full:
            return False
        for header, payload in self._backlog:
            self._remember(header, payload)
            return True
        self._backlog, self._spilled = None, False
        return False

    def _write(self, frames: list[tuple[dict[str, Any], bytes]]) -> None:
        try:
            append(self.file, b"".join(pack(self.key, *frame) for frame in frames))
        except OSError as error:
            print(f"batchspawner agent: {self.file}: {error}", file=sys.stderr)

    def _read(self, received: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        unpacker = Unpacker(self.key)
        with contextlib.suppress(OSError), open(self.file, "rb") as file:
            while data := file.read(CHUNK):
                for header, payload in unpacker.feed(data):
                    if header["agent"] == self.id and header["seq"] > received:
                        yield header, payload
