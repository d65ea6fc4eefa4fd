"""Find the job that a kernel is to run in, or make it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import blocking
from ..client import BatchClient
from ..errors import OptionsError
from ..schedulers import scheduler_class
from .allocation import Allocation
from .registry import Entry, Registry

if TYPE_CHECKING:
    from .configuration import Settings

log = logging.getLogger(__name__)


class Keeper:
    """Hold the allocations of this process; it lives in the library's own event loop."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._live: dict[str, Allocation] = {}
        self._listener: Any = None
        self._opening = asyncio.Lock()
        atexit.register(self._at_exit)

    async def allocation(self, settings: Settings, name: str) -> Allocation:
        """Return the allocation that a kernel asks for, submitted where there is none yet.

        Raises OptionsError where a job was named that cannot be joined.
        """
        async with self._opening:
            if self._listener is None:
                self._listener = await open_listener()
            with self.registry.locked():
                return self._found(settings) or self._new(settings, name)

    def _found(self, settings: Settings) -> Allocation | None:
        for entry in self.registry.entries():
            asked = settings.job_id == entry.job_id or (
                not settings.job_id and settings.allocation and settings.allocation == entry.name
            )
            allocation = self._live.get(entry.id)
            if asked and entry.job_id and allocation is not None and allocation.is_open:
                return allocation
        if settings.job_id:
            raise OptionsError("jobid", settings.job_id, "no job of yours with kernels has this id")
        return None

    def _new(self, settings: Settings, name: str) -> Allocation:
        entry_id = self.registry.new_id()
        client = BatchClient(find_scheduler(settings.scheduler))
        folder = self.registry.folder(entry_id)
        allocation = Allocation(folder, client, settings.linger)
        call = self._listener.expect(folder, python=settings.python)
        request = call.request(client.scheduler, front_end="kernels", name=name,
                               **settings.resources)  # fmt: skip
        entry = Entry(
            entry_id, client.scheduler.name, settings.allocation, "", request.tag,
            socket.gethostname(), os.getpid(),
        )  # fmt: skip
        self.registry.write(entry)
        self.registry.hold(entry_id)
        self._live[entry_id] = allocation
        allocation.on_submit = lambda job_id: self.registry.write(replace(entry, job_id=job_id))
        allocation.on_end = lambda: self._forget(entry_id)
        allocation.begin(call, request)
        return allocation

    def _forget(self, entry_id: str) -> None:
        self._live.pop(entry_id, None)
        self.registry.remove(entry_id)

    def _at_exit(self) -> None:
        """Give back what lingers, before this process is gone."""
        blocking.run(self._release_idle())

    async def _release_idle(self) -> None:
        idle = [one for one in self._live.values() if not one.is_used]
        await asyncio.gather(*(one.release() for one in idle), return_exceptions=True)


def find_scheduler(name: str) -> Any:
    """Return a scheduler by its name."""
    return scheduler_class("local" if name == "auto" else name)()


async def open_listener() -> Any:
    """Return what agents call home to."""
    raise NotImplementedError


_keeper: Keeper | None = None


def shared_keeper() -> Keeper:
    """Return the one keeper of this process; call it in the library's event loop."""
    global _keeper
    if _keeper is None:
        _keeper = Keeper()
    return _keeper
