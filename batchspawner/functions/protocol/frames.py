"""Frames of a worker, read from a stream or from what has arrived of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .worker import HEAD

if TYPE_CHECKING:
    import asyncio

    from .worker import Frame, Header


async def read_frame(stream: asyncio.StreamReader) -> Frame:
    """Return the next frame. Raises IncompleteReadError at the end of the stream."""
    head, size = _lengths(await stream.readexactly(HEAD.size))
    header: Header = json.loads(await stream.readexactly(head))
    return header, await stream.readexactly(size)


def take_frames(buffer: bytearray) -> list[Frame]:
    """Remove all complete frames from a buffer, and return them."""
    found: list[Frame] = []
    offset = 0
    while len(buffer) - offset >= HEAD.size:
        begin = offset + HEAD.size
        head, size = _lengths(buffer, offset)
        end = begin + head + size
        if len(buffer) < end:
            break
        header: Header = json.loads(buffer[begin : begin + head])
        found.append((header, bytes(buffer[begin + head : end])))
        offset = end
    del buffer[:offset]
    return found


def _lengths(data: bytes | bytearray, offset: int = 0) -> tuple[int, int]:
    """Return the lengths of a frame's header and of its data, in bytes."""
    lengths: tuple[int, int] = HEAD.unpack_from(data, offset)
    return lengths
