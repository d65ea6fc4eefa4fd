"""The report of the test job: its contents, and the HTTP server that receives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, TypedDict, cast
from urllib.parse import urlsplit

from .findings import CheckAborted, wrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .configuration import Hub

_MAX_BODY_BYTES = 1 << 20


class HomeFacts(TypedDict, total=False):
    """The home folder, seen from the node."""

    path: str
    exists: bool
    error: str
    free_mb: int


class HubFacts(TypedDict, total=False):
    """The way from the node to the Hub; `step` is the last one that was tried."""

    step: str
    error: str
    address: str
    own_address: str
    connect_seconds: float
    answer_seconds: float


class PageFacts(TypedDict, total=False):
    """The user's server on the node: the last step of its start, and its answer to its owner.

    The steps are `ssl` (not tried), `port`, `listen`, `ended` and `done`; `status` is that of HTTP
    if there was an answer, else that of the process.
    """

    step: str
    status: int
    path: str
    target: str
    page_seconds: float
    log: str


class Facts(TypedDict, total=False):
    """What `probe` reports; a part that failed is None."""

    host: str
    path: str
    wrapper: str
    wrapper_error: str
    server: str
    versions: dict[str, str] | None
    home: HomeFacts | None
    hub: HubFacts | None
    environment: dict[str, str] | None
    page: PageFacts | None
    errors: dict[str, str]
    seen: list[str] | None
    port: int
    port_error: str


def facts_in(text: str | bytes) -> Facts:
    """Return the facts in a report. Raises ValueError if it has another form."""
    facts: object = json.loads(text)
    if not isinstance(facts, dict):
        raise ValueError("a report is an object")
    return cast("Facts", facts)


class ReportListener:
    """The HTTP server that receives the report; it stands in for a Hub that does not run."""

    def __init__(self) -> None:
        self.facts: Facts | None = None
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and keep the facts that it brings."""
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
            if head.startswith("POST") and size < _MAX_BODY_BYTES:
                self.facts = facts_in(await reader.readexactly(size))
            body = json.dumps({"version": "check"})
            writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(hub: Hub) -> AsyncIterator[ReportListener]:
    """Listen on the Hub's own address, or on another port of it while the Hub runs.

    Raises CheckAborted if this machine has no such address.
    """
    listener = ReportListener()
    bind = urlsplit(hub.bind_url)
    host = None if bind.hostname in (None, "", "0.0.0.0") else bind.hostname  # noqa: S104
    try:
        server = await asyncio.start_server(listener.answer, host, bind.port or 8081)
    except OSError:
        try:
            server = await asyncio.start_server(listener.answer, host, 0)
        except OSError as error:
            text = f"the Hub cannot listen on {host}: {error.strerror or error}"
            cure = 'c.JupyterHub.hub_ip = "0.0.0.0"   (or an address of this machine)'
            raise CheckAborted(wrong("address", text, cure)) from error
    port = server.sockets[0].getsockname()[1]
    listener.url = f"http://{urlsplit(hub.api_url).hostname}:{port}/check"
    try:
        yield listener
    finally:
        server.close()
        await server.wait_closed()
