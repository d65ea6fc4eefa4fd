"""Connections to a listener of which it is not known yet whose they are."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_MAX_STRANGERS = 256
"""Connections at a time that have not proved a key yet."""

_MAX_OF_AN_ADDRESS = 64
"""How many of these may come from one address."""


class UnknownConnections:
    """Tasks of connections that have not proved a key yet, the oldest first.

    If there are too many, the oldest is cancelled, of those that have sent nothing if there are
    any: an agent needs milliseconds for its proof, and whoever only holds connections open shall
    not keep it out.
    """

    def __init__(self) -> None:
        self._addresses: dict[asyncio.Future[None], str] = {}
        self._silent: set[asyncio.Future[None]] = set()

    def add(self, task: asyncio.Future[None], address: str) -> None:
        """Add a connection from an address."""
        origin = _origin(address)
        same = [one for one, other in self._addresses.items() if other == origin]
        if len(same) >= _MAX_OF_AN_ADDRESS:
            self._cancel_one(same)
        elif len(self._addresses) >= _MAX_STRANGERS:
            self._cancel_one(list(self._addresses))
        self._addresses[task] = origin
        self._silent.add(task)

    def note_speech(self, task: asyncio.Future[None] | None) -> None:
        """Record that a connection has sent something."""
        if task is not None:
            self._silent.discard(task)

    def discard(self, task: asyncio.Future[None] | None) -> None:
        """Remove a connection that has ended, or is no stranger any more."""
        if task is not None:
            self._addresses.pop(task, None)
            self._silent.discard(task)

    def _cancel_one(self, tasks: list[asyncio.Future[None]]) -> None:
        task = next((one for one in tasks if one in self._silent), tasks[0])
        self.discard(task)
        task.cancel()


def _origin(address: str) -> str:
    """Return an address, the same for all of those that one host has for itself."""
    one = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(one, "ipv4_mapped", None) or one
    return "loopback" if plain.is_loopback else str(plain)
