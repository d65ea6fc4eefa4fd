"""Frames that the driver has not confirmed yet: in memory, and in the journal while it is away."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .journal import Journal
    from .protocol import Frame, Header

MAX_BYTES = 1 << 23
"""How much may wait for the driver; beyond, programs have to wait with their output."""

MAX_OFFLINE_BYTES = 1 << 20
"""How much may wait in memory while no driver is connected; beyond, it goes into the journal."""

_OVERHEAD_BYTES = 200


class Outbox:
    """A queue of numbered frames, each kept until the driver confirms it."""

    def __init__(self, agent_id: str, journal: Journal) -> None:
        self.id = agent_id
        self.journal = journal
        self.seq = 0
        self._frames: deque[Frame] = deque()
        self._size = 0
        self._sent = 0
        self._spilled = False
        self._backlog: Iterator[Frame] | None = None

    @property
    def is_full(self) -> bool:
        return self._size > MAX_BYTES

    @property
    def is_empty(self) -> bool:
        return not self._frames and not self._spilled

    def put(self, header: Header, payload: bytes = b"") -> None:
        """Add a frame, which will arrive exactly once."""
        self.seq += 1
        header = header.copy()
        header["agent"], header["seq"] = self.id, self.seq
        if self._spilled:
            self.journal.try_to_write([(header, payload)])
        else:
            self._append(header, payload)

    def _append(self, header: Header, payload: bytes) -> None:
        self._frames.append((header, payload))
        self._size += len(payload) + _OVERHEAD_BYTES

    def unsent(self) -> Iterator[Frame]:
        """Yield the frames that were not sent over this connection yet."""
        while self._sent < len(self._frames) or self._refill():
            self._sent += 1
            yield self._frames[self._sent - 1]

    def rewind(self) -> None:
        """Start again with the oldest frame, on a new connection."""
        self._sent = 0

    def confirmed(self, seq: int) -> None:
        """Drop the frames up to a number, which the driver has."""
        while self._frames and self._frames[0][0]["seq"] <= seq:
            _, payload = self._frames.popleft()
            self._size -= len(payload) + _OVERHEAD_BYTES
            self._sent = max(0, self._sent - 1)

    def resume(self, received: int) -> None:
        """Continue after the last frame that the driver has."""
        self.confirmed(received)
        if self._spilled:
            self._backlog = self.journal.read(self.id, received)

    def spill(self) -> None:
        """Move the frames into the journal if they are too much for the memory."""
        if self._spilled or self._size > MAX_OFFLINE_BYTES:
            self.store()

    def store(self) -> None:
        """Move all frames into the journal."""
        if not self._frames:
            return
        # What came out of the journal is there already.
        if not self._spilled:
            self.journal.try_to_write(self._frames)
        self._frames.clear()
        self._size = self._sent = 0
        self._spilled = True
        self._backlog = None

    def _refill(self) -> bool:
        """Take the next frame out of the journal; after the last one, go on in memory only."""
        if self._backlog is None or self.is_full:
            return False
        for header, payload in self._backlog:
            self._append(header, payload)
            return True
        self._backlog, self._spilled = None, False
        return False
