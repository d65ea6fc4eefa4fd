"""Record of a cell: its output and its status, for any thread that reads them."""

from __future__ import annotations

import codecs
import threading
import time
from typing import TYPE_CHECKING

from ..jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..jobs import JobInfo

    Piece = tuple[str, str]
    """The stream of a text, "stdout" or "stderr", and the text."""

_STARTED = (JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING)


class CellRecord:
    """Output and status of one run of a cell, written by one thread and read by any.

    `headline` is set when the cell was submitted, `status` when the backend knows more. `started`
    and `ended` are seconds since the epoch. `error` is why the cell could not be followed to its
    end. Nothing changes after `finished`.
    """

    def __init__(self, new_extractor: Callable[[], ResultExtractor | None] = lambda: None) -> None:
        self.headline: str | None = None
        self.status: JobInfo | None = None
        self.error: BaseException | None = None
        self.accepted = self.started = self.ended = 0.0
        self.finished = False
        self.remark = ""
        self.pieces: list[Piece] = []
        self.sources: list[Source] = []
        self._new_extractor = new_extractor
        self._changes = 0
        self._changed = threading.Condition()

    def submitted(self, headline: str) -> None:
        """Record that the cell has been submitted."""
        with self._changed:
            self.headline, self.accepted = headline, time.time()
            self._notify()

    def update(self, status: JobInfo) -> None:
        """Record a new status of the cell."""
        with self._changed:
            self.status = status
            # A job that ends without having been seen to run may never have run.
            if not self.started and status.state in _STARTED:
                self.started = time.time()
            if status.is_final and not self.ended:
                self.ended = time.time()
            self._notify()

    def source(self, name: str = "") -> Source:
        """Return a source for the output of the cell, or of one element of its array."""
        self.sources.append(Source(self, name, self._new_extractor()))
        return self.sources[-1]

    def append(self, stream: str, text: str) -> None:
        """Record a piece of output."""
        with self._changed:
            if text:
                self.pieces.append((stream, text))
                self._notify()

    def set_remark(self, remark: str) -> None:
        """Record a remark for the person who waits."""
        with self._changed:
            self.remark = remark
            self._notify()

    def finish(self, error: BaseException | None = None) -> None:
        """Record that nothing more will come."""
        with self._changed:
            for source in self.sources:
                source.end()
            self.error, self.finished = error, True
            self._notify()

    def text(self, stream: str | None = None) -> str:
        """Return all output so far, or that of one stream."""
        return "".join(text for name, text in list(self.pieces) if stream in (None, name))

    def wait(self, seen: int, seconds: float) -> int:
        """Wait for a change after the number `seen`, and return the number of the last one."""
        with self._changed:
            if self._changes == seen and not self.finished:
                self._changed.wait(seconds)
            return self._changes

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()


class Source:
    """Decoder of the output of one run of a cell; a character may come in parts."""

    def __init__(self, record: CellRecord, name: str, extractor: ResultExtractor | None) -> None:
        self.name = name
        self.extractor = extractor
        self._record = record
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in ("stdout", "stderr")}

    def write(self, stream: str, data: bytes) -> None:
        """Record a piece of output."""
        if stream == "stdout" and self.extractor is not None:
            data = self.extractor.feed(data)
        self._record.append(stream, self._decoders[stream].decode(data))

    def end(self) -> None:
        """Record what is left at the end of the output."""
        if self.extractor is not None:
            self._record.append("stdout", self._decoders["stdout"].decode(self.extractor.end()))
        for stream, decoder in self._decoders.items():
            self._record.append(stream, decoder.decode(b"", final=True))


class ResultExtractor:
    """Filter that takes the pickled result out of an output.

    The result follows a mark, its length in 8 bytes, and `extra` bytes that the length does not
    count. `result` is None until all of it has arrived.
    """

    def __init__(self, mark: bytes, extra: int) -> None:
        self.result: bytes | None = None
        self._mark = mark
        self._extra = extra
        self._buffer = bytearray()
        self._found = False

    def feed(self, data: bytes) -> bytes:
        """Return a piece of output without what belongs to the result."""
        if self.result is not None:
            return data
        self._buffer += data
        return self._seek() if not self._found else self._take()

    def end(self) -> bytes:
        """Return what looked like the beginning of a mark."""
        return b"" if self._found else bytes(self._buffer)

    def _seek(self) -> bytes:
        before, mark, after = self._buffer.partition(self._mark)
        if mark:
            self._buffer, self._found = after, True
            return bytes(before) + self._take()
        begin = len(self._buffer)
        # The mark may come in parts.
        for size in range(1, min(len(self._mark), begin + 1)):
            if self._buffer.endswith(self._mark[:size]):
                begin = len(self._buffer) - size
        fresh, self._buffer = bytes(self._buffer[:begin]), self._buffer[begin:]
        return fresh

    def _take(self) -> bytes:
        end = 8 + self._extra + int.from_bytes(self._buffer[:8], "big")
        if len(self._buffer) < 8 or len(self._buffer) < end:
            return b""
        self.result, rest = bytes(self._buffer[8:end]), bytes(self._buffer[end:])
        self._buffer = bytearray()
        return rest


class Reader:
    """Reader of the output of a record, piece by piece, while it grows."""

    def __init__(self, record: CellRecord) -> None:
        self.record = record
        self.finished = False
        self._seen = -1
        self._position = 0

    def wait(self, seconds: float) -> None:
        """Wait for a change, or for some seconds."""
        self._seen = self.record.wait(self._seen, seconds)

    def read(self) -> list[Piece]:
        """Return the new output."""
        # In this order: all output is there when `finished` is set.
        finished = self.record.finished
        fresh = self.record.pieces[self._position :]
        self._position += len(fresh)
        self.finished = finished
        return fresh
