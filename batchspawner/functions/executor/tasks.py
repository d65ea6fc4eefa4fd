"""Hold a call that a pool has taken, and a worker that is in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..futures import JobFuture
    from ..protocol.payload import PackedCall
    from ..protocol.results import PythonMismatch
    from .worker_providers import WorkerHandle


@dataclass(eq=False)
class Task:
    """Hold a call that waits or runs, and its future."""

    future: JobFuture
    call: PackedCall
    tries: int = 0
    started: bool = False

    def start(self) -> bool:
        """Mark the call as running; return False where it was cancelled."""
        if not self.started:
            self.started = self.future.set_running_or_notify_cancel()
        return self.started


class PoolWorker:
    """Hold what one worker knows and has to do."""

    def __init__(self, hand: WorkerHandle) -> None:
        self.hand = hand
        self.running: dict[int, Task] = {}
        self.known: set[str] = set()
        self.depth = 1
        self.done = 0
        self.greeted = self.is_of_use = False
        self.heard = 0.0
        self.mismatch: PythonMismatch | None = None
        self.news = asyncio.Event()
