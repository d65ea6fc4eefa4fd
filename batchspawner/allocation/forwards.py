"""Sockets of this machine that lead to those of a program in a job, through its agent.

The connection of the agent carries everything, so that it is encrypted as that is, and nothing
that was sent is lost if that connection is cut for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent.child_process import MAX_FOLDER_LENGTH
from ..agent.protocol import CHUNK_BYTES
from ..concurrency import BackgroundTasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..agent.protocol import Header
    from .agent_handle import AgentHandle
    from .remote_process import RemoteProcess


class Forwards:
    """Unix sockets in a private folder, each of which leads to a socket or port of a program.

    `targets` are names of sockets in the program's own folder, or numbers of its ports, by the
    names that the sockets get here.
    """

    def __init__(
        self, agent: AgentHandle, process: RemoteProcess, targets: Mapping[str, str | int]
    ) -> None:
        self._agent, self._process = agent, process
        place = tempfile.gettempdir()
        short = place if len(place) <= MAX_FOLDER_LENGTH else "/tmp"  # noqa: S108  (it is private there)
        self._folder = Path(tempfile.mkdtemp(prefix="bs-", dir=short))
        self._connections = BackgroundTasks()
        self._servers = {name: self._listen(name, target) for name, target in targets.items()}

    @property
    def paths(self) -> dict[str, str]:
        """The paths of the sockets by their names."""
        return {name: str(self._folder / name) for name in self._servers}

    async def close(self) -> None:
        while self._servers:
            _, server = self._servers.popitem()
            asyncio.get_running_loop().remove_reader(server)
            server.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            # A task that is cancelled before it begins would not close its connection.
            await asyncio.sleep(0)
        finally:
            self._connections.cancel()

    def _listen(self, name: str, target: str | int) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(self._folder / name))
        server.listen()
        server.setblocking(False)
        asyncio.get_running_loop().add_reader(server, self._accept, server, target)
        return server

    def _accept(self, server: socket.socket, target: str | int) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            self._connections.start(self._forward(target, connection))

    async def _forward(self, target: str | int, connection: socket.socket) -> None:
        """Forward one connection until either side hangs up."""
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        stream = secrets.token_hex(8)
        hung_up = asyncio.Event()

        def receive(data: bytes | None) -> None:
            if data is None:
                hung_up.set()
            elif not writer.is_closing():
                writer.write(data)

        self._process.streams[stream] = receive
        end = asyncio.ensure_future(hung_up.wait())
        copying = asyncio.ensure_future(self._copy(target, stream, reader))
        try:
            await asyncio.wait((end, copying), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._process.streams[stream]
            for task in (end, copying):
                task.cancel()
            if not hung_up.is_set():
                self._send("hangup", stream)
            writer.close()

    async def _copy(self, target: str | int, stream: str, reader: asyncio.StreamReader) -> None:
        """Send the agent what arrives here, as fast as it takes it."""
        connect: Header = {"type": "connect", "id": self._process.id, "stream": stream}
        if isinstance(target, str):
            connect["socket"] = target
        else:
            connect["port"] = target
        self._agent.send(connect)
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._agent.online.wait()
                self._send("data", stream, data)
                await self._agent.drained()

    def _send(self, kind: str, stream: str, data: bytes = b"") -> None:
        self._agent.send({"type": kind, "id": self._process.id, "stream": stream}, data)
