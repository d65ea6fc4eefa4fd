"""Record of a cell: its output and its status, for any thread that reads them."""

from __future__ import annotations

import codecs
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from ..jobs import JobState
from . import worker
from .displays import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..jobs import JobInfo

_STARTED = (JobState.RUNNING, JobState.SUSPENDED, JobState.COMPLETING)


class Piece(NamedTuple):
    """Piece of output: its stream, "stdout" or "stderr", its text, and what that stands for."""

    stream: str
    text: str
    display: Display | None = None


_NO_OUTPUT = Piece("stdout", "")


class CellRecord:
    """Output and status of one run of a cell, written by one thread and read by any.

    `headline` is set when the cell was submitted, `status` when the backend knows more. `started`
    and `ended` are seconds since the epoch. `error` is why the cell could not be followed to its
    end. Nothing changes after `finished`.
    """

    def __init__(self, new_extractor: Callable[[], MessageExtractor | None] = lambda: None) -> None:
        self.headline: str | None = None
        self.status: JobInfo | None = None
        self.error: BaseException | None = None
        self.accepted = self.started = self.ended = 0.0
        self.finished = False
        self.remark = ""
        self.pieces: list[Piece] = []
        self.sources: list[Source] = []
        self._new_extractor = new_extractor
        self._displays: list[int] = []
        self._updates: dict[str, int] = {}
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
                self.pieces.append(Piece(stream, text))
                self._notify()

    def append_display(self, display: Display) -> None:
        """Record something to show, and forget what it replaces: animations are large."""
        with self._changed:
            number = len(self.pieces)
            if display.clear:
                outdated, self._displays, self._updates = self._displays, [], {}
            else:
                last = self._updates.get(display.display_id)
                outdated = [] if last is None or not display.update else [last]
            for one in outdated:
                self.pieces[one] = _NO_OUTPUT
            self._displays.append(number)
            if display.update:
                self._updates[display.display_id] = number
            self.pieces.append(Piece("stdout", display.text, display))
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
        return "".join(one.text for one in list(self.pieces) if stream in (None, one.stream))

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
    """Reader of the output of one run of a cell: text, whose characters may come in parts, and
    the messages of a Python cell.

    `result` holds the pickled variables for the notebook; it is None until they have arrived.
    """

    def __init__(self, record: CellRecord, name: str, extractor: MessageExtractor | None) -> None:
        self.name = name
        self.result: bytes | None = None
        self._extractor = extractor
        self._record = record
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in ("stdout", "stderr")}

    def write(self, stream: str, data: bytes) -> None:
        """Record a piece of output."""
        extractor = self._extractor if stream == "stdout" else None
        for one in [data] if extractor is None else extractor.feed(data):
            if isinstance(one, bytes):
                self._record.append(stream, self._decoders[stream].decode(one))
            elif one.kind == worker.RESULT:
                self.result = one.content
            else:
                self._record.append_display(Display.read(one.content, self.name))

    def end(self) -> None:
        """Record what is left at the end of the output."""
        if self._extractor is not None:
            left = self._extractor.end()
            self._record.append("stdout", self._decoders["stdout"].decode(left))
        for stream, decoder in self._decoders.items():
            self._record.append(stream, decoder.decode(b"", final=True))


class Message(NamedTuple):
    """Message of a Python cell: its kind, see `worker`, and its content."""

    kind: bytes
    content: bytes


class MessageExtractor:
    """Filter that takes the messages out of an output; `worker.Channel` describes them."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._buffer = b""
        self._message = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Message]:
        """Yield what a piece of output consists of: text, and messages that are complete."""
        buffer, done = self._buffer + data, 0
        while (begin := buffer.find(self._mark, done)) >= 0:
            yield buffer[done:begin]
            done, head = begin, begin + len(self._mark)
            content = head + 3
            end = content + int.from_bytes(buffer[head + 1 : content], "big")
            if len(buffer) < content or len(buffer) < end:
                break
            self._message += buffer[content:end]
            done = end
            if buffer[head]:
                yield from self._complete()
        else:
            # The mark may come in parts.
            sizes = range(len(self._mark) - 1, -1, -1)
            left = next(size for size in sizes if buffer.endswith(self._mark[:size]))
            yield buffer[done : len(buffer) - left]
            done = len(buffer) - left
        self._buffer = buffer[done:]

    def end(self) -> bytes:
        """Return what looked like the beginning of a mark."""
        return b"" if self._buffer.startswith(self._mark) else self._buffer

    def _complete(self) -> Iterator[Message]:
        message, self._message = bytes(self._message), bytearray()
        kind, checksum, content = message[:1], message[1:17], message[17:]
        if worker.digest(content) == checksum:
            yield Message(kind, content)


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
