"""Readiness probe of a user's server."""

from __future__ import annotations

import asyncio
import contextlib

from ...concurrency import within

_TIMEOUT_S = 2.0


async def answers_http(host: str, port: int) -> bool:
    """Return whether there is an HTTP server at this address.

    That the port is open is not enough: the wrapper in the job holds it open while it reports.
    """
    try:
        return await within(_TIMEOUT_S, _first_bytes(host, port)) == b"HTTP/"
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return False


async def _first_bytes(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
        return await reader.readexactly(5)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
