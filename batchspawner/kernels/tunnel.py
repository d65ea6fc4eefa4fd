"""Tunnel to a kernel through ssh, for nodes whose ports cannot be reached."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import socket
from typing import TYPE_CHECKING

from ..concurrency import within
from ..errors import BatchError
from ..processes import IDENTITY, begin, tool_environment

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
"""Seconds before each attempt to connect again; the last one is repeated."""

_CONNECT_TIMEOUT_S = 60.0
_POLL_INTERVAL_S = 0.05


class KernelTunnel:
    """Forwards from ports of this machine, `ports`, to those of a kernel.

    `command` is ssh with its options, as a user would write it. `on_lost` is called when the
    connection is lost, `on_back` when it is there again.
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
        self._output = b""
        self._task = asyncio.ensure_future(self._run())

    async def opened(self) -> None:
        """Return when the forwards are there. Raises BatchError with the output of ssh."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(_CONNECT_TIMEOUT_S, self._open.wait())
            return
        said = self._output.decode(errors="replace").strip() or "nothing"
        await self.close()
        raise BatchError(f"{self.host} cannot be reached: try {self._hint}; ssh said:\n{said}")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Connect, again whenever the connection is lost, with the ports that clients know."""
        tries = 0
        while True:
            process = await begin(self._argv, environment=tool_environment(_ENVIRONMENT))
            probing = asyncio.ensure_future(self._probe())
            try:
                _, self._output = await process.communicate()
            finally:
                probing.cancel()
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

    async def _probe(self) -> None:
        while not self._open.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(LOOPBACK, self.ports[0])
                writer.close()
                self._open.set()
            await asyncio.sleep(_POLL_INTERVAL_S)
        if self.on_back is not None:
            await self.on_back()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
