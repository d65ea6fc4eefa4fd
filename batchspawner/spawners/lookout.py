"""Know what the waiting user asks: how many are before me, how long does it usually take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..availability import kept
from .recent import note_wait, usual_wait
from .wording import Outlook

if TYPE_CHECKING:
    from ..client import BatchClient
    from ..jobs import JobStatus

_LEAST = 0.1
"""Seconds that a job has waited at least, so that a wait is never taken for an unknown one."""


class Lookout:
    """Look around for one spawner."""

    def __init__(self, spawner: Any, client: BatchClient) -> None:
        self._spawner = spawner
        self._client = client
        self._ahead: int | None = None

    async def look(self, status: JobStatus | None) -> None:
        """Learn how many jobs come before a waiting one; all users share the question."""
        self._ahead = None
        if status is not None and status.state.is_waiting:
            answer = await kept(self._client.scheduler, self._client.query_runner, "ahead").look(
                patience=0
            )
            if answer.value is not None and not answer.is_stale:
                self._ahead = answer.value.get(status.job_id)

    def note_start(self, status: JobStatus) -> None:
        """Take note of how long the job waited, once it runs."""
        spawner = self._spawner
        if not spawner.waited and spawner.submitted_at:
            started = status.start or time.time()
            spawner.waited = max(_LEAST, started - spawner.submitted_at)
        if spawner.waited:
            name = self._client.scheduler.name
            note_wait(name, status.queue, status.job_id, spawner.waited)

    def outlook(self, status: JobStatus | None, running: float) -> Outlook:
        """Return what is known; `running` is for how many seconds the job has run."""
        queue = status.queue if status else ""
        usual = usual_wait(self._client.scheduler.name, queue)
        return Outlook(running, self._ahead, usual)
