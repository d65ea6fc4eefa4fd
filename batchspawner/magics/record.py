"""Keep what a cell prints and what becomes of it, for the threads that look."""

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
    """Where a text was printed, "stdout" or "stderr", and the text."""

_RUNS = (JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING)


class CellRecord:
    """Be written by one thread and read by any.

    `headline` says that the cell was handed over, `status` what became of it since. `started`
    and `ended` are seconds since the epoch. `error` is what kept the cell from being followed.
    `finished` comes last: nothing changes after it.
    """

    def __init__(self, new_sieve: Callable[[], Sieve | None] = lambda: None) -> None:
        self.headline: str | None = None
        self.status: JobInfo | None = None
        self.error: BaseException | None = None
        self.accepted = self.started = self.ended = 0.0
        self.finished = False
        self.remark = ""
        self.pieces: list[Piece] = []
        self.sources: list[Source] = []
        self._new_sieve = new_sieve
        self._changes = 0
        self._news = threading.Condition()

    def accept(self, headline: str) -> None:
        """Note that the cell has been handed over."""
        with self._news:
            self.headline, self.accepted = headline, time.time()
            self._tell()

    def tell(self, status: JobInfo) -> None:
        """Note what became of the cell."""
        with self._news:
            self.status = status
            # What ends without having been seen to run may never have run.
            if not self.started and status.state in _RUNS:
                self.started = time.time()
            if status.is_final and not self.ended:
                self.ended = time.time()
            self._tell()

    def source(self, name: str = "") -> Source:
        """Return what takes the output of one run of the cell, such as an array's element."""
        self.sources.append(Source(self, name, self._new_sieve()))
        return self.sources[-1]

    def printed(self, stream: str, text: str) -> None:
        """Note what the cell printed."""
        with self._news:
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
            for source in self.sources:
                source.end()
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


class Source:
    """Take what one run of a cell prints; a character may come in parts."""

    def __init__(self, record: CellRecord, name: str, sieve: Sieve | None) -> None:
        self.name = name
        self.sieve = sieve
        self._record = record
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in ("stdout", "stderr")}

    def say(self, stream: str, data: bytes) -> None:
        """Take a piece of output."""
        if stream == "stdout" and self.sieve is not None:
            data = self.sieve.feed(data)
        self._record.printed(stream, self._decoders[stream].decode(data))

    def end(self) -> None:
        """Take the end of the output."""
        if self.sieve is not None:
            self._record.printed("stdout", self._decoders["stdout"].decode(self.sieve.end()))
        for stream, decoder in self._decoders.items():
            self._record.printed(stream, decoder.decode(b"", final=True))


class Sieve:
    """Keep back the result that stands in an output, behind a mark and its length.

    `result` is there when it is whole; `extra` bytes before it do not count for the length.
    """

    def __init__(self, mark: bytes, extra: int) -> None:
        self.result: bytes | None = None
        self._mark = mark
        self._extra = extra
        self._kept = bytearray()
        self._found = False

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the output, and return what of it is for people."""
        if self.result is not None:
            return data
        self._kept += data
        return self._seek() if not self._found else self._take()

    def end(self) -> bytes:
        """Return what looked like a mark and was none."""
        return b"" if self._found else bytes(self._kept)

    def _seek(self) -> bytes:
        before, mark, after = self._kept.partition(self._mark)
        if mark:
            self._kept, self._found = after, True
            return bytes(before) + self._take()
        begin = len(self._kept)
        # The mark may come in parts.
        for size in range(1, min(len(self._mark), begin + 1)):
            if self._kept.endswith(self._mark[:size]):
                begin = len(self._kept) - size
        fresh, self._kept = bytes(self._kept[:begin]), self._kept[begin:]
        return fresh

    def _take(self) -> bytes:
        end = 8 + self._extra + int.from_bytes(self._kept[:8], "big")
        if len(self._kept) < 8 or len(self._kept) < end:
            return b""
        self.result, rest = bytes(self._kept[8:end]), bytes(self._kept[end:])
        self._kept = bytearray()
        return rest


class Reader:
    """Read a record piece by piece, while it grows."""

    def __init__(self, record: CellRecord) -> None:
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
