"""The controller's list of its engines, and how those of an ended job leave it.

A controller finds out by missed heartbeats, after half a minute, that an engine was killed together
with its job; until then clients count it and send it work.

https://ipyparallel.readthedocs.io/en/latest/reference/messages.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import zmq
import zmq.asyncio
from ipyparallel import util
from jupyter_client.session import Session

from ..concurrency import within

if TYPE_CHECKING:
    from pathlib import Path

_ANSWER_TIMEOUT_S = 5.0
"""How long a controller may take for all questions; it may be ending at this moment."""

_RETRY_INTERVAL_S = 0.05
"""How long we wait before we look whether the engines have left the list."""


async def unregister_engines(connection_file: Path, prefix: str) -> bool:
    """Remove the engines whose names begin with `prefix` from the list of their controller.

    `connection_file` is that of clients. Return whether none of them is on the list any more; it is
    not known if the controller does not answer, or is only reached through ssh.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, asyncio.TimeoutError):
        info = json.loads(connection_file.read_text())
        if not info.get("ssh"):
            await within(_ANSWER_TIMEOUT_S, _unregister(info, prefix))
            return True
    return False


async def _unregister(info: dict[str, Any], prefix: str) -> None:
    url = util.disambiguate_url(f"{info['interface']}:{info['registration']}", info["location"])
    # A socket of ZeroMQ would not notice that the controller has ended.
    await _check_listener(url)
    session = Session(
        key=info["key"].encode(),
        signature_scheme=info["signature_scheme"],
        packer=info["pack"],
        unpacker=info["unpack"],
    )
    with zmq.asyncio.Context.instance().socket(zmq.DEALER) as socket:
        socket.linger = 0
        util.connect(socket, url, curve_serverkey=(info.get("curve_serverkey") or "").encode())
        while found := await _registered(socket, session, prefix):
            for engine in found:
                await _send(socket, session, "unregistration_request", {"id": engine})
            await asyncio.sleep(_RETRY_INTERVAL_S)


async def _check_listener(url: str) -> None:
    """Raise OSError if nothing listens on a TCP port."""
    protocol, _, address = url.partition("://")
    if protocol == "tcp":
        host, _, port = address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()


async def _registered(socket: zmq.asyncio.Socket, session: Session, prefix: str) -> list[int]:
    """Return the ids of the engines whose names begin with `prefix`."""
    await _send(socket, session, "connection_request", {})
    _, frames = session.feed_identities(await socket.recv_multipart())
    engines = session.deserialize(frames)["content"]["engines"]
    return [int(one) for one, name in engines.items() if name.startswith(prefix)]


async def _send(
    socket: zmq.asyncio.Socket, session: Session, kind: str, content: dict[str, object]
) -> None:
    await socket.send_multipart(session.serialize(session.msg(kind, content=content)))
