"""The handler of JupyterHub's stream of events of a start, in the language of who reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyterhub import apihandlers

from ..translation import translated_by
from .hub.jupyterhub import replace_handler
from .hub.reader_language import page_catalogue

if TYPE_CHECKING:

    class SpawnProgressAPIHandler:
        """JupyterHub's handler of the events."""

        def initialize(self) -> None: ...

        def on_connection_close(self) -> None: ...

        async def get(self, user_name: str, server_name: str = "") -> None: ...

else:
    from jupyterhub.apihandlers.users import SpawnProgressAPIHandler


class ProgressHandler(SpawnProgressAPIHandler):
    """JupyterHub's handler, whose events do not know who reads them, nor that nobody does."""

    def initialize(self) -> None:
        super().initialize()
        self._closed = asyncio.get_running_loop().create_future()

    def on_connection_close(self) -> None:
        """End the events: the page is closed, and the start may go on for days."""
        super().on_connection_close()
        if not self._closed.done():
            self._closed.set_result(None)

    async def get(self, user_name: str, server_name: str = "") -> None:
        """Send the events; JupyterHub checks who may read them."""
        with translated_by(page_catalogue(self)):
            events = asyncio.ensure_future(super().get(user_name, server_name))
        try:
            await asyncio.wait([events, self._closed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            while not events.done():
                # JupyterHub takes the first cancellation for the end of the start.
                events.cancel()
                await asyncio.sleep(0)
        if not self._closed.done():
            await events
        elif not events.cancelled():
            # Nobody is there who could be told.
            events.exception()


replace_handler(apihandlers.default_handlers, SpawnProgressAPIHandler, ProgressHandler)
