"""Readiness probe of a user's server, which says what keeps the Hub from it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

from ...concurrency import within

_TIMEOUT_S = 2.0

_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


async def answers_http(host: str, port: int) -> bool:
    """Return whether there is an HTTP server at this address."""
    return not await probe(host, port)


async def probe(host: str, port: int, *, only_port: bool = False) -> str:
    """Return what keeps us from the HTTP server at an address, empty if it answers.

    ``name``: the host's name is not known here. ``no_route``: there is no way to its network.
    ``refused``: nothing listens there. ``filtered``: there was no answer. ``silent``: the port is
    open, but no HTTP came. That it is open is not enough: the wrapper in the job holds it open
    while it reports. With `only_port` it is, because with TLS only JupyterHub can ask.
    """
    try:
        reader, writer = await within(_TIMEOUT_S, asyncio.open_connection(host, port))
    except asyncio.TimeoutError:
        return "filtered"
    except socket.gaierror:
        return "name"
    except OSError as error:
        return "no_route" if error.errno in _NO_ROUTE else "refused"
    try:
        if only_port or await within(_TIMEOUT_S, _answers(reader, writer)):
            return ""
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return "silent"


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
    return await reader.readexactly(5) == b"HTTP/"
