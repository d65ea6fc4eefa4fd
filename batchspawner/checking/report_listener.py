"""Be where the job calls: instead of the Hub where that is not running, or beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LIMIT = 1 << 20


class ReportListener:
    """Take the job's word; `is_hub` says that we stand in for the Hub, whose port is free."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] | None = None
        self.url = ""
        self.is_hub = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            size = next(
                (
                    int(line.split(":")[1])
                    for line in head.splitlines()
                    if line.lower().startswith("content-length:")
                ),
                0,
            )
            if head.startswith("POST") and size < _LIMIT:
                self.facts = dict(json.loads(await reader.readexactly(size)))
            said = json.dumps({"version": "check"})
            writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(said)}\r\n\r\n{said}".encode())
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(hub: Any) -> AsyncIterator[ReportListener]:
    """Listen on the Hub's own address; where it runs already, on another port beside it."""
    listener = ReportListener()
    bind = urlsplit(hub.bind_url)
    host = None if bind.hostname in (None, "", "0.0.0.0") else bind.hostname  # noqa: S104
    try:
        server = await asyncio.start_server(listener.answer, host, bind.port or 8081)
        listener.is_hub = True
    except OSError:
        server = await asyncio.start_server(listener.answer, host, 0)
    port = server.sockets[0].getsockname()[1]
    listener.url = f"http://{urlsplit(hub.api_url).hostname}:{port}/check"
    try:
        yield listener
    finally:
        server.close()
        await server.wait_closed()
