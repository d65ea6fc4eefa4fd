"""Find the job that a kernel is to run in, or make it."""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import blocking
from ..allocation import Allocation, client_for, new_call
from ..callhome import Listener
from ..errors import OptionsError
from .registry import Entry, Registry
from .shared import SharedJob

if TYPE_CHECKING:
    from .configuration import Settings


class Keeper:
    """Hold the jobs of this process; it lives in the library's own event loop."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._listening: asyncio.Task[Listener] | None = None
        self._jobs: dict[str, asyncio.Task[SharedJob]] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        atexit.register(self._at_exit)

    async def join(self, kernel_id: str, settings: Settings, name: str) -> SharedJob:
        """Return the job that a kernel asks for, submitted where there is none yet.

        Raises SubmitError, SchedulerUnavailable, TemplateError, or OptionsError where a job was
        named that cannot be joined.
        """
        with self.registry.locked():
            entry = self._entry(settings)
            if entry is None:
                entry = self._new_entry(settings)
                submit = self._submit(entry, settings, name)
                self._jobs[entry.id] = asyncio.ensure_future(submit)
        job = await asyncio.shield(self._jobs[entry.id])
        job.join(kernel_id)
        return job

    def _entry(self, settings: Settings) -> Entry | None:
        """Return the allocation that a kernel names, None where it is to have a new one."""
        for entry in self.registry.entries():
            if settings.job_id == entry.job_id if settings.job_id else (
                settings.allocation and settings.allocation == entry.name
            ):  # fmt: skip
                task = self._jobs.get(entry.id)
                if task is not None and not (task.done() and not _is_open(task)):
                    return entry
        if settings.job_id:
            raise OptionsError("jobid", settings.job_id, "no job of yours with kernels has this id")
        return None

    def _new_entry(self, settings: Settings) -> Entry:
        scheduler = client_for(settings.scheduler).scheduler.name
        entry = Entry(
            self.registry.new_id(), scheduler, settings.allocation,
            host=socket.gethostname(), pid=os.getpid(),
        )  # fmt: skip
        self.registry.write(entry)
        self.registry.hold(entry.id)
        return entry

    async def _submit(self, entry: Entry, settings: Settings, name: str) -> SharedJob:
        try:
            allocation = await Allocation.submit(
                client_for(entry.scheduler),
                await self._listener(),
                front_end="kernels",
                name=name,
                call=new_call(
                    settings.resources.get("runtime"),
                    folder=self.registry.folder(entry.id),
                    python=settings.python,
                    patience=settings.patience,
                ),
                **_resources(settings),
            )
        except BaseException:
            self._forget(entry.id)
            raise
        self.registry.write(replace(entry, job_id=allocation.job_id))
        job = SharedJob(allocation)
        goodbye = asyncio.ensure_future(self._say_goodbye(entry.id, job))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
        return job

    async def _listener(self) -> Listener:
        if self._listening is None:
            self._listening = asyncio.ensure_future(Listener.open())
        return await asyncio.shield(self._listening)

    async def _say_goodbye(self, entry_id: str, job: SharedJob) -> None:
        await job.ended.wait()
        await job.allocation.close()
        self._forget(entry_id)

    def _forget(self, entry_id: str) -> None:
        self._jobs.pop(entry_id, None)
        self.registry.remove(entry_id)

    def _at_exit(self) -> None:
        """Give back what lingers, before this process is gone."""
        blocking.run(self._release_idle())

    async def _release_idle(self) -> None:
        tasks = [task for task in self._jobs.values() if task.done() and not task.exception()]
        idle = [task.result() for task in tasks if not task.result().is_used]
        await asyncio.gather(*(job.release() for job in idle), return_exceptions=True)


def _is_open(task: asyncio.Task[SharedJob]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().is_open


def _resources(settings: Settings) -> dict[str, Any]:
    """Return what the job is asked for; a node that was named is asked for, too."""
    return {**settings.resources, **({"host": settings.node} if settings.node else {})}


_keeper: Keeper | None = None


def shared_keeper() -> Keeper:
    """Return the one keeper of this process; call it in the library's event loop."""
    global _keeper
    if _keeper is None:
        _keeper = Keeper()
    return _keeper
