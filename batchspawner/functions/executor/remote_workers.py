"""Bring workers to a pool from the cluster behind a login host."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..session import new_folder_call
from .job_workers import JobWorkerProvider

if TYPE_CHECKING:
    from ...allocation.call_folder import CallFolder
    from ...allocation.listener import Listener
    from .gateway import Gateway

_FAREWELL = 5.0
"""Seconds that agents have to end by themselves."""


class RemoteWorkerProvider(JobWorkerProvider):
    """Submit jobs on a login host, which call home through the connection to it."""

    _advice = ""

    def __init__(self, gateway: Gateway, options: dict[str, Any], **settings: Any) -> None:
        super().__init__(gateway.client, options, **settings)
        self._gateway = gateway
        self.variables = {"homedir": gateway.home}

    def _new_call(self, runtime: object) -> CallFolder:
        make = self._gateway.new_call
        return new_folder_call(runtime, self._python, lasting=False, make=make)

    async def _listener(self) -> Listener | None:
        return self._gateway.listener

    async def dismiss(self) -> None:
        # What lets the agents go must reach them before the connection ends.
        agents = [agent for agent in self._agents.values() if agent.over is None]
        until = asyncio.get_running_loop().time() + _FAREWELL
        while any(agent.online.is_set() for agent in agents):
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(0.02)
        await super().dismiss()
        await self._gateway.close()
