"""Keep what a cell prints and what becomes of it, for the threads that look."""

from __future__ import annotations

import codecs
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..jobs import JobStatus

    Piece = tuple[str, str]
    """Where a text was printed, "stdout" or "stderr", and the text."""


class Record:
    """Be written by one thread and read by any.

    `headline` says that the cell was handed over, `status` what became of it since. `started`
    and `ended` are seconds since the epoch. `error` is what kept the cell from being followed.
    `finished` comes last: nothing changes after it.
    """

    def __init__(self) -> None:
        self.headline: str | None = None
        self.status: JobStatus | None = None
        self.error: BaseException | None = None
        self.accepted = self.started = self.ended = 0.0
        self.finished = False
        self.remark = ""
        self.pieces: list[Piece] = []
        self._changes = 0
        self._news = threading.Condition()
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def accept(self, headline: str) -> None:
        """Note that the cell has been handed over."""
        with self._news:
            self.headline, self.accepted = headline, time.time()
            self._tell()

    def tell(self, status: JobStatus) -> None:
        """Note what became of the cell."""
        with self._news:
            self.status = status
            if not self.started and not status.state.is_waiting:
                self.started = time.time()
            if status.is_final and not self.ended:
                self.ended = time.time()
            self._tell()

    def say(self, stream: str, data: bytes) -> None:
        """Note what the cell printed; a character may come in parts."""
        with self._news:
            if stream not in self._decoders:
                self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
            text = self._decoders[stream].decode(data)
            if text:
                self.pieces.append((stream, text))
                self._tell()

    def remarked(self, remark: str) -> None:
        """Note what the person who waits should know right now."""
        with self._news:
            self.remark = remark
            self._tell()

    def finish(self, error: BaseException | None = None) -> None:
        """Note that there is nothing more to come."""
        with self._news:
            for stream, decoder in self._decoders.items():
                if rest := decoder.decode(b"", final=True):
                    self.pieces.append((stream, rest))
            self.error, self.finished = error, True
            self._tell()

    def text(self, stream: str | None = None) -> str:
        """Return all that was printed so far, or what came on one of the streams."""
        return "".join(text for name, text in list(self.pieces) if stream in (None, name))

    def wait(self, seen: int, seconds: float) -> int:
        """Wait for another change than the one that was seen, and return which it is."""
        with self._news:
            if self._changes == seen and not self.finished:
                self._news.wait(seconds)
            return self._changes

    def _tell(self) -> None:
        self._changes += 1
        self._news.notify_all()


class Reader:
    """Read a record piece by piece, while it grows."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.finished = False
        self._seen = -1
        self._position = 0

    def read(self, seconds: float) -> list[Piece]:
        """Return what is new after a change, or after some seconds without one."""
        self._seen = self.record.wait(self._seen, seconds)
        # In this order: what was printed before the end is there when the end is.
        finished = self.record.finished
        fresh = self.record.pieces[self._position :]
        self._position += len(fresh)
        self.finished = finished
        return fresh
