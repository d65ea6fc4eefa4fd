"""Allocator: finds the job that a kernel asks for, or submits one."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...allocation.allocation import Allocation, client_for, new_call
from ...allocation.call_folder import CallFolder
from ...allocation.listener import Listener
from ...client import blocking_client
from ...concurrency import BackgroundTasks
from ...errors import BatchError, SchedulerError
from .existing_job import ExistingJob, agent_command, no_such_job, status_of
from .registry import Entry, Registry
from .shared_between_servers import AttachedJob, OwnedJob, write_request

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ...allocation.job_origin import Origin
    from ..settings import Settings
    from .kernel_job import KernelJob

_SUBMIT_POLL_INTERVAL_S = 0.1
"""How often we look whether another process has submitted its job."""

_OWNER_POLL_INTERVAL_S = 2.0
"""How often we look whether the process that is to attach us still lives."""


class Allocator:
    """The jobs of this process; it belongs to the library's own event loop."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._listening: asyncio.Task[Listener] | None = None
        self._jobs: dict[str, asyncio.Task[KernelJob]] = {}
        self._background = BackgroundTasks()
        atexit.register(self._at_exit)
        self._background.start(self._remove_stale_entries())

    async def join(
        self, kernel_id: str, settings: Settings, name: str, origin: Origin
    ) -> KernelJob:
        """Return the job that a kernel asks for; submit one if there is none yet.

        `name` and `origin` are for the record of a new one. Raises SubmitError,
        SchedulerUnavailable, TemplateError, or OptionsError if the kernel names a job that cannot
        be joined.
        """
        while True:
            task = self._task(settings, name, origin)
            job = await asyncio.shield(task)
            # A job that an earlier process has left may have ended long ago.
            if job.is_open:
                job.join(kernel_id)
                return job

    async def rejoin(self, kernel_id: str, entry_id: str, orphan_timeout: float) -> KernelJob:
        """Return the job that a kernel of an earlier process runs in, or waits for.

        Raises BatchError if the job has ended, or if another process owns it.
        """
        with self.registry.locked():
            task = self._jobs.get(entry_id)
            entry = self.registry.entry(entry_id)
            if task is None:
                if entry is None or not entry.job_id:
                    raise BatchError("the job of the kernel has ended while its server was away")
                if not self.registry.acquire(entry.id):
                    raise BatchError(
                        f"job {entry.job_id} belongs to process {entry.pid} on {entry.host}"
                    )
                task = self._start(entry, self._take_over(entry, orphan_timeout))
        job = await asyncio.shield(task)
        job.join(kernel_id)
        return job

    def _task(self, settings: Settings, name: str, origin: Origin) -> asyncio.Task[KernelJob]:
        """Return the task that gets a kernel its job: the one that it names, or a new one."""
        with self.registry.locked():
            named = [one for one in self.registry.entries() if _is_meant(one, settings)]
            for entry in named:
                task = self._jobs.get(entry.id)
                if task is not None and _is_open(task):
                    return task
            for entry in named:
                if entry.id in self._jobs or entry.attached_to:
                    continue
                if self.registry.acquire(entry.id):
                    return self._start(entry, self._take_over(entry, settings.orphan_timeout))
                mine = self._new_entry(settings, entry.scheduler, attached_to=entry.id)
                return self._start(mine, self._attach(entry, mine, settings))
            scheduler = client_for(settings.scheduler).scheduler
            if settings.job_id:
                if scheduler.on_node("", "", settings.job_id) is None:
                    raise no_such_job(settings.job_id, "with kernels ")
                entry = self._new_entry(settings, scheduler.name, attached_to=settings.job_id)
                return self._start(entry, self._enter(entry, settings))
            entry = self._new_entry(settings, scheduler.name)
            return self._start(entry, self._submit(entry, settings, name, origin))

    def _start(
        self, entry: Entry, coroutine: Coroutine[object, object, KernelJob]
    ) -> asyncio.Task[KernelJob]:
        task = self._jobs[entry.id] = asyncio.ensure_future(self._track(entry.id, coroutine))
        return task

    async def _track(
        self, entry_id: str, coroutine: Coroutine[object, object, KernelJob]
    ) -> KernelJob:
        try:
            job = await coroutine
        except BaseException:
            self._forget(entry_id)
            raise
        self._background.start(self._close_when_ended(entry_id, job))
        return job

    def _new_entry(self, settings: Settings, scheduler: str, attached_to: str = "") -> Entry:
        entry = Entry.new(scheduler, settings.allocation, attached_to, settings.job_id)
        try:
            self.registry.write(entry)
        except OSError:
            self.registry.remove(entry.id)
            raise
        self.registry.acquire(entry.id)
        return entry

    async def _submit(
        self, entry: Entry, settings: Settings, name: str, origin: Origin
    ) -> KernelJob:
        resources: dict[str, Any] = {**settings.resources}
        if settings.node:
            resources["host"] = settings.node
        allocation = await Allocation.submit(
            client_for(entry.scheduler),
            await self._listener(),
            front_end="kernels",
            name=name,
            call=self._call(entry, settings),
            origin=origin,
            **resources,
        )
        try:
            self.registry.write(replace(entry, job_id=allocation.job_id))
        except OSError:
            # Nobody would find the job again.
            with contextlib.suppress(SchedulerError):
                await allocation.cancel()
            await allocation.close()
            raise
        job = self._owned_job(entry, allocation)
        job.node = settings.node
        return job

    async def _enter(self, entry: Entry, settings: Settings) -> KernelJob:
        """Start an agent of ours in a job that was not submitted by us."""
        client = client_for(entry.scheduler)
        status = await status_of(client, entry.job_id)
        # The kernel's own runtime says nothing about how long that job may run.
        resources = {**settings.resources, "runtime": ""}
        call = self._call(entry, replace(settings, resources=resources))
        (await self._listener()).expect(call)
        command = agent_command(call, settings.resources.get("prologue", ""))
        argv = client.scheduler.on_node(settings.node, command, entry.job_id)
        allocation = Allocation(client, call, entry.job_id)
        return ExistingJob(allocation, argv or (), settings.node, status)

    async def _take_over(self, entry: Entry, orphan_timeout: float) -> KernelJob:
        """Become the owner of a job whose owner process has ended."""
        call = CallFolder.load(self.registry.folder(entry.id))
        (await self._listener()).expect(call)
        self.registry.write(entry.moved())
        allocation = Allocation(client_for(entry.scheduler), call, entry.job_id)
        if entry.attached_to:
            return AttachedJob(allocation, None)
        job = self._owned_job(entry, allocation)
        await job.settled()
        asyncio.get_running_loop().call_later(orphan_timeout, job.end_unclaimed)
        return job

    async def _attach(self, owned: Entry, entry: Entry, settings: Settings) -> KernelJob:
        """Start an agent of ours, through the owner, in a job that another process owns."""
        while not owned.job_id:
            await asyncio.sleep(_SUBMIT_POLL_INTERVAL_S)
            found = self.registry.entry(owned.id)
            if found is None:
                raise BatchError(f"the job of allocation {owned.name!r} could not be submitted")
            owned = found
        call = self._call(entry, settings)
        (await self._listener()).expect(call)
        with self.registry.locked():
            if self.registry.entry(owned.id) is None:
                raise BatchError(f"job {owned.job_id} was given back at this moment; try again")
            request = write_request(self.registry.folder(owned.id), call)
        self.registry.write(replace(entry, job_id=owned.job_id))
        allocation = Allocation(client_for(owned.scheduler), call, owned.job_id)
        job = AttachedJob(allocation, request)
        self._background.start(self._replace_owner(owned, job, settings.orphan_timeout))
        return job

    async def _replace_owner(self, owned: Entry, job: KernelJob, orphan_timeout: float) -> None:
        """Take over a job whose owner process ends before it has started our agent."""
        while not (job.agent or job.ended.is_set()):
            await asyncio.sleep(_OWNER_POLL_INTERVAL_S)
            if self.registry.entry(owned.id) and self._is_abandoned(owned):
                self.registry.acquire(owned.id)
                taken = self._start(owned, self._take_over(owned, orphan_timeout))
                (await asyncio.shield(taken)).release()
                return

    def _call(self, entry: Entry, settings: Settings) -> CallFolder:
        return new_call(
            settings.resources.get("runtime"),
            folder=self.registry.folder(entry.id),
            python=settings.python,
            linger_after=settings.linger,
            orphan_timeout=settings.orphan_timeout,
        )

    def _owned_job(self, entry: Entry, allocation: Allocation) -> OwnedJob:
        return OwnedJob(allocation, lambda: self.registry.close(entry.id))

    async def _listener(self) -> Listener:
        if self._listening is None:
            self._listening = asyncio.ensure_future(Listener.open())
        return await asyncio.shield(self._listening)

    async def _close_when_ended(self, entry_id: str, job: KernelJob) -> None:
        await job.ended.wait()
        await job.allocation.close()
        self._forget(entry_id)

    def _forget(self, entry_id: str) -> None:
        self._jobs.pop(entry_id, None)
        self.registry.remove(entry_id)

    async def _remove_stale_entries(self) -> None:
        """Remove the entries whose process and job have ended."""
        for entry in self.registry.entries():
            if entry.job_id and self._is_abandoned(entry):
                with contextlib.suppress(SchedulerError, LookupError):
                    status = await client_for(entry.scheduler).status(entry.job_id)
                    if status.is_final and self._is_abandoned(entry):
                        self.registry.remove(entry.id)

    def _is_abandoned(self, entry: Entry) -> bool:
        """Return whether no process owns a job."""
        with self.registry.locked():
            if entry.id in self._jobs or not self.registry.acquire(entry.id):
                return False
            self.registry.release(entry.id)
            return True

    def _at_exit(self) -> None:
        """Give back the lingering jobs; called when this process ends."""
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


_allocator: Allocator | None = None


def shared_allocator() -> Allocator:
    """Return the one allocator of this process; call it in the library's event loop."""
    global _allocator
    if _allocator is None:
        _allocator = Allocator()
    return _allocator
