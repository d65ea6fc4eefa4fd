"""Find the job that a kernel is to run in, or make it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...allocation.allocation import Allocation, client_for, new_call
from ...allocation.call_folder import CallFolder
from ...allocation.listener import Listener
from ...client import blocking_client
from ...errors import BatchError, SchedulerError
from .existing_job import ExistingJob, beginning, no_such_job, status_of
from .registry import Entry, Registry
from .shared_between_servers import AttachedJob, OwnedJob, write_letter

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..settings import Settings
    from .kernel_job import KernelJob

log = logging.getLogger(__name__)

_SUBMITTED = 0.1
"""Seconds between two looks whether another process has submitted its job."""

_HOST = 2.0
"""Seconds between two looks whether a process that is to let us in is still there."""


class Allocator:
    """Hold the jobs of this process; it lives in the library's own event loop."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._listening: asyncio.Task[Listener] | None = None
        self._jobs: dict[str, asyncio.Task[KernelJob]] = {}
        self._background: set[asyncio.Task[None]] = set()
        atexit.register(self._at_exit)
        self._follow(self._sweep())

    async def join(self, kernel_id: str, settings: Settings, name: str) -> KernelJob:
        """Return the job that a kernel asks for, submitted where there is none yet.

        Raises SubmitError, SchedulerUnavailable, TemplateError, or OptionsError where a job was
        named that cannot be joined.
        """
        while True:
            task = self._task(settings, name)
            job = await asyncio.shield(task)
            # One that an earlier process has left may have ended long ago.
            if job.is_open:
                job.join(kernel_id)
                return job

    async def rejoin(self, kernel_id: str, entry_id: str, patience: float) -> KernelJob:
        """Return the job that a kernel of an earlier process runs in, or waits for.

        Raises BatchError where it is gone, or where another process looks after it.
        """
        with self.registry.locked():
            task = self._jobs.get(entry_id)
            entry = self.registry.entry(entry_id)
            if task is None:
                if entry is None or not entry.job_id:
                    raise BatchError("the job of the kernel has ended while its server was away")
                if not self.registry.hold(entry.id):
                    raise BatchError(f"another process looks after job {entry.job_id}: {entry}")
                task = self._begin(entry, self._take_over(entry, patience))
        job = await asyncio.shield(task)
        job.join(kernel_id)
        return job

    def _task(self, settings: Settings, name: str) -> asyncio.Task[KernelJob]:
        """Return how a kernel gets its job: the one that it names, or a new one."""
        with self.registry.locked():
            named = [one for one in self.registry.entries() if _is_meant(one, settings)]
            for entry in named:
                task = self._jobs.get(entry.id)
                if task is not None and _is_open(task):
                    return task
            for entry in named:
                if entry.id in self._jobs or entry.guest_of:
                    continue
                if self.registry.hold(entry.id):
                    return self._begin(entry, self._take_over(entry, settings.patience))
                mine = self._new_entry(settings, entry.scheduler, guest_of=entry.id)
                return self._begin(mine, self._visit(entry, mine, settings))
            scheduler = client_for(settings.scheduler).scheduler
            if settings.job_id:
                if scheduler.on_node("", "", settings.job_id) is None:
                    raise no_such_job(settings.job_id, "with kernels ")
                entry = self._new_entry(settings, scheduler.name, guest_of=settings.job_id)
                return self._begin(entry, self._enter(entry, settings))
            entry = self._new_entry(settings, scheduler.name)
            return self._begin(entry, self._submit(entry, settings, name))

    def _begin(
        self, entry: Entry, coroutine: Coroutine[object, object, KernelJob]
    ) -> asyncio.Task[KernelJob]:
        task = self._jobs[entry.id] = asyncio.ensure_future(self._attend(entry.id, coroutine))
        return task

    async def _attend(
        self, entry_id: str, coroutine: Coroutine[object, object, KernelJob]
    ) -> KernelJob:
        try:
            job = await coroutine
        except BaseException:
            self._forget(entry_id)
            raise
        self._follow(self._say_goodbye(entry_id, job))
        return job

    def _new_entry(self, settings: Settings, scheduler: str, guest_of: str = "") -> Entry:
        entry = Entry.fresh(scheduler, settings.allocation, guest_of, settings.job_id)
        self.registry.write(entry)
        self.registry.hold(entry.id)
        return entry

    async def _submit(self, entry: Entry, settings: Settings, name: str) -> KernelJob:
        wanted: dict[str, Any] = {**settings.resources}
        if settings.node:
            wanted["host"] = settings.node
        allocation = await Allocation.submit(
            client_for(entry.scheduler),
            await self._listener(),
            front_end="kernels",
            name=name,
            call=self._call(entry, settings),
            **wanted,
        )
        self.registry.write(replace(entry, job_id=allocation.job_id))
        job = self._hosted(entry, allocation)
        job.node = settings.node
        return job

    async def _enter(self, entry: Entry, settings: Settings) -> KernelJob:
        """Have an agent of ours in a job that was not submitted by us."""
        client = client_for(entry.scheduler)
        status = await status_of(client, entry.job_id)
        # How long that job may run is not what a job of our own would have been asked for.
        resources = {**settings.resources, "runtime": ""}
        call = self._call(entry, replace(settings, resources=resources))
        (await self._listener()).expect(call)
        command = beginning(call, settings.resources.get("prologue", ""))
        argv = client.scheduler.on_node(settings.node, command, entry.job_id)
        allocation = Allocation(client, call, entry.job_id)
        return ExistingJob(allocation, argv or (), settings.node, status)

    async def _take_over(self, entry: Entry, patience: float) -> KernelJob:
        """Speak with a job whose process is gone."""
        call = CallFolder.load(self.registry.folder(entry.id))
        (await self._listener()).expect(call)
        self.registry.write(entry.moved())
        allocation = Allocation(client_for(entry.scheduler), call, entry.job_id)
        if entry.guest_of:
            return AttachedJob(allocation, None)
        job = self._hosted(entry, allocation)
        await job.settled()
        asyncio.get_running_loop().call_later(patience, job.end_unclaimed)
        return job

    async def _visit(self, host: Entry, entry: Entry, settings: Settings) -> KernelJob:
        """Have an agent of ours in a job that another process speaks with."""
        while not host.job_id:
            await asyncio.sleep(_SUBMITTED)
            found = self.registry.entry(host.id)
            if found is None:
                raise BatchError(f"the job of allocation {host.name!r} could not be submitted")
            host = found
        call = self._call(entry, settings)
        (await self._listener()).expect(call)
        with self.registry.locked():
            if self.registry.entry(host.id) is None:
                raise BatchError(f"job {host.job_id} was given back at this moment; try again")
            letter = write_letter(self.registry.folder(host.id), call)
        self.registry.write(replace(entry, job_id=host.job_id))
        allocation = Allocation(client_for(host.scheduler), call, host.job_id)
        job = AttachedJob(allocation, letter)
        self._follow(self._replace_host(host, job, settings.patience))
        return job

    async def _replace_host(self, host: Entry, job: KernelJob, patience: float) -> None:
        """Let our own kernels in, where the process that should do that has ended."""
        while not (job.agent or job.ended.is_set()):
            await asyncio.sleep(_HOST)
            if self.registry.entry(host.id) and self._is_abandoned(host):
                self.registry.hold(host.id)
                taken = self._begin(host, self._take_over(host, patience))
                (await asyncio.shield(taken)).release()
                return

    def _call(self, entry: Entry, settings: Settings) -> CallFolder:
        return new_call(
            settings.resources.get("runtime"),
            folder=self.registry.folder(entry.id),
            python=settings.python,
            orphan_timeout=settings.patience,
        )

    def _hosted(self, entry: Entry, allocation: Allocation) -> OwnedJob:
        return OwnedJob(allocation, lambda: self.registry.close(entry.id))

    async def _listener(self) -> Listener:
        if self._listening is None:
            self._listening = asyncio.ensure_future(Listener.open())
        return await asyncio.shield(self._listening)

    def _follow(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _say_goodbye(self, entry_id: str, job: KernelJob) -> None:
        await job.ended.wait()
        await job.allocation.close()
        self._forget(entry_id)

    def _forget(self, entry_id: str) -> None:
        self._jobs.pop(entry_id, None)
        self.registry.remove(entry_id)

    async def _sweep(self) -> None:
        """Remove what is left of jobs that have ended since their process is gone."""
        for entry in self.registry.entries():
            if entry.job_id and self._is_abandoned(entry):
                with contextlib.suppress(SchedulerError, LookupError):
                    status = await client_for(entry.scheduler).status(entry.job_id)
                    if status.is_final and self._is_abandoned(entry):
                        self.registry.remove(entry.id)

    def _is_abandoned(self, entry: Entry) -> bool:
        """Tell whether no process speaks with a job."""
        with self.registry.locked():
            if entry.id in self._jobs or not self.registry.hold(entry.id):
                return False
            self.registry.leave(entry.id)
            return True

    def _at_exit(self) -> None:
        """Give back what lingers, before this process is gone."""
        blocking_client.run(self.release_idle())

    async def release_idle(self) -> None:
        """Give back the jobs without kernels."""
        tasks = [task for task in self._jobs.values() if task.done() and not task.exception()]
        idle = [task.result() for task in tasks if not task.result().is_used]
        await asyncio.gather(*(job.release() for job in idle), return_exceptions=True)


def _is_meant(entry: Entry, settings: Settings) -> bool:
    if settings.job_id:
        return entry.job_id == settings.job_id
    return bool(settings.allocation) and entry.name == settings.allocation


def _is_open(task: asyncio.Task[KernelJob]) -> bool:
    if not task.done():
        return True
    return not task.cancelled() and task.exception() is None and task.result().is_open


_keeper: Allocator | None = None


def shared_keeper() -> Allocator:
    """Return the one keeper of this process; call it in the library's event loop."""
    global _keeper
    if _keeper is None:
        _keeper = Allocator()
    return _keeper
