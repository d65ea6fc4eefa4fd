"""Records of a pool: one for each task, and one for each worker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..futures import JobFuture
    from ..protocol.payload import PackedCall
    from ..protocol.results import PythonMismatch
    from .worker_providers import WorkerHandle

_MAX_DEPTH = 64
"""Calls that a worker has at a time, at most."""


@dataclass(eq=False)
class Task:
    """A call and its future. `tries` counts the times that it was lost with its worker."""

    future: JobFuture
    call: PackedCall
    tries: int = 0
    started: bool = False

    def start(self) -> bool:
        """Mark the future as running; return False if it was cancelled."""
        if not self.started:
            self.started = self.future.set_running_or_notify_cancel()
        return self.started

    def is_wanted(self) -> bool:
        """Return whether it was not cancelled; tell those who wait for it if it was."""
        return self.started or not self.future.cancelled() or self.start()

    @property
    def is_pickled(self) -> bool:
        """Whether only the same version of Python can read it."""
        return self.call.is_pickled


class PoolWorker:
    """A worker of a pool: its handle, and the tasks that it has.

    `running` are its tasks by number, in the order in which it does them. `depth` is how many it
    may have at a time. `last_heard` is the loop's time of its last answer, or of its last calls.
    """

    def __init__(self, handle: WorkerHandle, initializer: PackedCall | None = None) -> None:
        self.handle = handle
        self._initializer = initializer
        self._is_initialized = False
        self.running: dict[int, Task] = {}
        self.known_functions: set[str] = set()
        self.depth = 1
        self.calls_done = 0
        self.has_started = self.has_had_calls = self.has_failed = False
        self.last_heard = 0.0
        self.mismatch: PythonMismatch | None = None
        self.changed = asyncio.Event()

    def frames_of(self, number: int, task: Task) -> list[bytes]:
        """Add a task under a number, and return the frames that the worker needs for it."""
        self.running[number] = task
        task.future.job = self.handle.job
        frames: list[bytes] = []
        if self._initializer is not None and not self._is_initialized:
            self._is_initialized = True
            frames += [*self._definition(self._initializer), self._initializer.first_frame()]
        return [*frames, *self._definition(task.call), task.call.frame(number)]

    def _definition(self, call: PackedCall) -> list[bytes]:
        """Return the frame of a call's function, none if the worker has it."""
        if call.function.key in self.known_functions:
            return []
        self.known_functions.add(call.function.key)
        return [call.function.frame()]

    def note_answer(self, *, is_short: bool) -> None:
        """Note that a call is done; while calls are short, twice as many are sent at a time."""
        self.calls_done += 1
        self.last_heard = asyncio.get_running_loop().time()
        self.depth = min(_MAX_DEPTH, 2 * self.depth) if is_short else 1

    def is_used_up(self, calls_each: int | None) -> bool:
        """Return whether it must get no more calls: it ends, or has had as many as each may."""
        has_enough = calls_each is not None and self.calls_done + len(self.running) >= calls_each
        return has_enough or self.handle.is_ending

    @property
    def initializer_is_pickled(self) -> bool:
        """Whether there is an initializer that only the same version of Python can read."""
        return self._initializer is not None and self._initializer.is_pickled
