"""Keep the forwards to a cluster open over one ssh connection, also after it was cut."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING

from ..concurrency import within
from ..errors import BatchError, ConnectionFailed
from .remote_files import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ssh import Ssh
    from .remote_files import Endpoint

log = logging.getLogger(__name__)

_TRIES = 10
"""Local ports that are tried for one forward before the host is thought to refuse it."""

_BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each try to connect again; the last one for ever."""

_PROBE = 5.0
"""Seconds between two looks whether the controller still answers, and for its answer."""

_ANSWER = (0.2, 1.0, 2.0)
"""Seconds after each failed look for a controller that was to be there: it may begin to listen."""

_SILENT = 3
"""So many times in a row it may not answer before it is thought to have ended."""


class ClusterTunnel:
    """Own the forwards of one connection: local ports that lead to a cluster.

    `changed` is called whenever there is something new to remember for a crash.
    """

    def __init__(self, ssh: Ssh, changed: Callable[[], None]) -> None:
        self.ssh = ssh
        self.forwards: dict[Endpoint, int] = {}
        self.trouble = ""
        self._changed = changed

    async def add(self, end: Endpoint) -> int:
        """Return a local port that leads there. Raises ConnectionFailed where ssh refuses."""
        if end in self.forwards:
            return self.forwards[end]
        for _ in range(_TRIES):
            port = free_port()
            # Noted before it exists, so that nothing is left behind after a crash.
            self.forwards[end] = port
            self._changed()
            if await self.ssh.forward(port, end.host, end.port):
                return port
            del self.forwards[end]
        raise ConnectionFailed(
            f"{self.ssh.host} does not forward to {end.host}:{end.port}; ssh said:\n"
            f"{self.ssh.output or 'nothing'}"
        )

    async def reach(self, end: Endpoint) -> None:
        """Return when the controller answers through a forward. Raises ConnectionFailed."""
        for pause in _ANSWER:
            if await greets(self.forwards[end]):
                return
            await asyncio.sleep(pause)
        host, said = self.ssh.host, f"; ssh said:\n{self.ssh.output}" if self.ssh.output else "."
        raise ConnectionFailed(
            f"{host} was reached, but nothing answers to it at {end.host}:{end.port}. Either the "
            f"controller has ended, or {host} must not or cannot connect to its node for us "
            f"(AllowTcpForwarding in its sshd_config, a firewall){said}"
        )

    async def keep(self, probe: Endpoint) -> None:
        """Connect again whenever the connection is lost; return when the controller has ended."""
        while True:
            lost = asyncio.ensure_future(self.ssh.lost())
            ended = asyncio.ensure_future(self._ended(self.forwards[probe]))
            try:
                await asyncio.wait({lost, ended}, return_when=asyncio.FIRST_COMPLETED)
                # Without a connection nothing answers: that says nothing of the controller.
                if ended.done() and await self.ssh.is_alive():
                    return
            finally:
                for task in (lost, ended):
                    task.cancel()
                await asyncio.gather(lost, ended, return_exceptions=True)
            await self._again()

    async def close(self) -> None:
        """End the forwards, and the connection where it is ours."""
        if self.ssh.shared:
            for end, port in self.forwards.items():
                with contextlib.suppress(BatchError):
                    await self.ssh.cancel(port, end.host, end.port)
        self.forwards.clear()
        await self.ssh.close()

    async def _again(self) -> None:
        tries = 0
        while True:
            self.trouble = self.trouble or f"the connection to {self.ssh.host} was lost"
            log.warning("%s; connecting again", self.trouble)
            try:
                await self.ssh.open()
                self._changed()
                await self._restore()
            except BatchError as error:
                self.trouble = str(error)
                await asyncio.sleep(_BACK_OFF[min(tries, len(_BACK_OFF) - 1)])
                tries += 1
            else:
                self.trouble = ""
                log.warning("Connected to %s again", self.ssh.host)
                return

    async def _restore(self) -> None:
        for end, port in self.forwards.items():
            # Clients know these ports: it must be the same ones.
            if not await self.ssh.forward(port, end.host, end.port):
                await self.ssh.close()
                raise ConnectionFailed(
                    f"port {port} of this machine is taken, so nothing leads to "
                    f"{end.host}:{end.port} any more"
                )

    async def _ended(self, port: int) -> None:
        silent = 0
        while silent < _SILENT:
            await asyncio.sleep(_PROBE if not silent else 1.0)
            silent = 0 if await greets(port) else silent + 1


async def greets(port: int) -> bool:
    """Whether ZeroMQ, which speaks first, answers at a local port."""
    try:
        return bool(await within(_PROBE, _first_byte(port)))
    except (OSError, asyncio.TimeoutError):
        return False


async def _first_byte(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(LOCAL, port)
    try:
        return await reader.read(1)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def free_port() -> int:
    """Return a local port that nothing listens on at this moment."""
    with socket.socket() as one:
        one.bind((LOCAL, 0))
        port: int = one.getsockname()[1]
        return port
