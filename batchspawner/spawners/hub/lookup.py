"""Reach what of JupyterHub stands around a spawner."""

from __future__ import annotations

import asyncio
from typing import Any

from .handler import innermost

_LOOK = 0.1
"""Seconds between two looks whether JupyterHub has finished what it does with a server."""


def hub_spawner(spawner: Any) -> Any:
    """Return the spawner that JupyterHub itself holds: this one, or what wraps it."""
    known = getattr(spawner.user, "spawners", {})
    # Not known[name]: JupyterHub's dictionary would make a spawner.
    outer = known.get(spawner.name)
    return outer if outer is not None and innermost(outer) is spawner else spawner


async def settled(outer: Any) -> bool:
    """Wait until JupyterHub has finished a start or a check; False where no server came of it."""
    while outer.pending in ("spawn", "check"):
        await asyncio.sleep(_LOOK)
    return bool(outer.ready)


async def notify_of_end(spawner: Any) -> None:
    """Have JupyterHub ask about a server now, and clean up after it where it has ended."""
    outer = hub_spawner(spawner)
    if await settled(outer):
        await outer.poll_and_notify()


async def move_server(spawner: Any, host: str, port: int) -> None:
    """Change the address of a running server, in the Hub and in its proxy."""
    outer = hub_spawner(spawner)
    if not await settled(outer):
        return
    spawner.server.ip, spawner.server.port = host, port
    spawner.ip, spawner.port = host, port
    await add_route(outer)


async def add_route(outer: Any) -> None:
    """Tell the proxy where a server is."""
    proxy = (getattr(outer.user, "settings", None) or {}).get("proxy")
    if proxy is not None:
        await proxy.add_user(outer.user, outer.name)
