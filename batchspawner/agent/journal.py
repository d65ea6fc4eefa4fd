"""Frames in a file: what an agent cannot send now, and the driver reads later."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys

from .protocol import CHUNK_BYTES, Unpacker, frame_keys, pack

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .protocol import Frame


def append(file: str, data: bytes) -> None:
    """Append to a file that several processes write; it is on the disk when this returns."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # Appending is not atomic on every network file system, so a lock does it where one works.
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        begin = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            # Nobody could read what follows a part of a frame.
            os.ftruncate(descriptor, begin)
            raise
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """The file in which all agents of a call write down frames, in the folder of the call."""

    def __init__(self, folder: str, key: bytes) -> None:
        self.file = os.path.join(folder, "journal")
        self._key = frame_keys(key, b"journal")[0]

    def write(self, frames: Iterable[Frame]) -> None:
        """Append frames. Raises OSError."""
        append(self.file, b"".join(pack(self._key, *frame) for frame in frames))

    def try_to_write(self, frames: Iterable[Frame]) -> None:
        """Append frames; log an error, because there is nobody else to tell."""
        try:
            self.write(frames)
        except OSError as error:
            print(f"batchspawner agent: {self.file}: {error}", file=sys.stderr)

    def read(self, agent_id: str, after: int) -> Iterator[Frame]:
        """Yield the frames of one agent whose number is higher than `after`."""
        unpacker = Unpacker(self._key)
        with contextlib.suppress(OSError), open(self.file, "rb") as file:
            while data := file.read(CHUNK_BYTES):
                for header, payload in unpacker.feed(data):
                    if header["agent"] == agent_id and header["seq"] > after:
                        yield header, payload
