"""Reach a kernel through ssh, where the ports of its node cannot be reached."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import socket
from typing import TYPE_CHECKING

from ..errors import BatchError
from ..runners import IDENTITY, begin, tool_environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

_OPTIONS = (
    *("-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none"),
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
)
_ENVIRONMENT = (*IDENTITY, "SSH_*", "KRB5*", "XDG_RUNTIME_DIR")
_BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each try to connect again; the last one for ever."""

_OPEN = 60.0
"""Seconds in which the first connection has to be there."""


class KernelTunnel:
    """Own the forwards from ports of this machine to those of a kernel.

    `command` is ssh with its options, as a person would write it. `ports` are our own ports.
    `on_lost` is called when the forwards are gone, `on_back` when they are there again.
    """

    def __init__(self, command: str, host: str, ports: Sequence[int]) -> None:
        self.host = host
        self.on_lost: Callable[[], None] = lambda: None
        self.on_back: Callable[[], Awaitable[None]] | None = None
        self.ports = _free_ports(len(ports))
        forwards = [f"-L{LOOPBACK}:{mine}:{LOOPBACK}:{one}" for mine, one in zip(self.ports, ports)]
        self._argv = (*shlex.split(command), *_OPTIONS, *forwards, "--", host)
        self._hint = f"{command} {host} hostname"
        self._open = asyncio.Event()
        self._said = b""
        self._life = asyncio.ensure_future(self._keep())

    async def opened(self) -> None:
        """Return when the forwards are there. Raises BatchError with what ssh said."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._open.wait(), _OPEN)
            return
        said = self._said.decode(errors="replace").strip() or "nothing"
        await self.close()
        raise BatchError(f"{self.host} cannot be reached: try {self._hint}; ssh said:\n{said}")

    async def close(self) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)

    async def _keep(self) -> None:
        """Connect, and again whenever the connection is lost: clients know our ports."""
        tries = 0
        while True:
            process = await begin(self._argv, environment=tool_environment(_ENVIRONMENT))
            looking = asyncio.ensure_future(self._look())
            try:
                _, self._said = await process.communicate()
            finally:
                looking.cancel()
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
            if self._open.is_set():
                self._open.clear()
                self.on_lost()
                tries = 0
                log.warning("The tunnel to %s was lost; connecting again", self.host)
            await asyncio.sleep(_BACK_OFF[min(tries, len(_BACK_OFF) - 1)])
            tries += 1

    async def _look(self) -> None:
        while not self._open.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(LOOPBACK, self.ports[0])
                writer.close()
                self._open.set()
            await asyncio.sleep(0.05)
        if self.on_back is not None:
            await self.on_back()


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
