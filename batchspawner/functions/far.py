"""Bring workers to a pool from the cluster behind a login host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .agents import BatchCrew
from .home import new_folder_call

if TYPE_CHECKING:
    from ..callhome import Listener
    from ..calls import Call
    from ..gateway import Gateway


class FarCrew(BatchCrew):
    """Submit jobs on a login host, which call home through the connection to it."""

    def __init__(self, gateway: Gateway, options: dict[str, Any], **settings: Any) -> None:
        super().__init__(gateway.client, options, **settings)
        self._gateway = gateway
        self.variables = {"homedir": gateway.home}

    def _new_call(self, runtime: object) -> Call:
        make = self._gateway.new_call
        return new_folder_call(runtime, self._python, lasting=False, make=make)

    async def _listener(self) -> Listener | None:
        return self._gateway.listener

    async def dismiss(self) -> None:
        await super().dismiss()
        await self._gateway.close()
