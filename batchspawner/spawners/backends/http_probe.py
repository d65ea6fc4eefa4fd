"""Find out whether a user's server answers."""

from __future__ import annotations

import asyncio
import contextlib

from ...concurrency import within

_TIMEOUT = 2.0


async def answers_http(host: str, port: int) -> bool:
    """Tell whether somebody at this address speaks HTTP.

    That the port is open is not enough: the wrapper in the job holds it open while it reports.
    """
    try:
        return await within(_TIMEOUT, _first_word(host, port)) == b"HTTP/"
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return False


async def _first_word(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
        return await reader.readexactly(5)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
