"""Know what the waiting user asks: how many are before me, how long does it usually take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...client.availability import cached_answer
from ..hub import metrics
from .messages import QueueEstimate
from .wait_statistics import note_wait, usual_wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...client.batch_client import BatchClient
    from ...jobs import JobInfo

_LEAST = 0.1
"""Seconds that a job has waited at least, so that a wait is never taken for an unknown one."""


class QueueEstimator:
    """Look around for one spawner."""

    def __init__(self, spawner: Any, client: BatchClient) -> None:
        self._spawner = spawner
        self._client = client
        self._ahead: int | None = None
        self._cores: tuple[int, int] | None = None

    async def look(self, status: JobInfo | None) -> None:
        """Learn what is before a waiting job; all users share the questions."""
        self._ahead = self._cores = None
        if status is None or not status.state.is_waiting:
            return
        self._ahead = (await self._ask("ahead")).get(status.job_id)
        if self._client.scheduler.explain(status.reason).of_cores:
            limit, used = (await self._ask("core_usage")).get(status.job_id, ("", 0))
            allowed = (await self._ask("core_limits")).get(limit)
            self._cores = None if allowed is None else (used, allowed)

    async def _ask(self, method: str) -> Mapping[str, Any]:
        """Return the newest answer without waiting for one; nothing where there is none."""
        cache = cached_answer(self._client.scheduler, self._client.query_runner, method)
        answer = await cache.get(timeout=0)
        return answer.value if answer.value is not None and not answer.is_stale else {}

    def note_start(self, status: JobInfo | None) -> None:
        """Take note of how long the job waited, once it runs."""
        spawner, name = self._spawner, self._client.scheduler.name
        if not spawner.waited and spawner.submitted_at:
            now = time.time()
            started = status.start if status and status.start else now
            if not spawner.submitted_at <= started <= now:
                started = now  # the scheduler's clock is another one
            spawner.waited = max(_LEAST, started - spawner.submitted_at)
            metrics.PENDING.labels(scheduler=name).observe(spawner.waited)
        if spawner.waited and status is not None:
            note_wait(name, status.queue, status.job_id, spawner.waited)

    def outlook(self, status: JobInfo | None, running: float, silence: float) -> QueueEstimate:
        """Return what is known besides for how many seconds the job has run, and the scheduler
        has been silent.
        """
        queue = status.queue if status else ""
        usual = usual_wait(self._client.scheduler.name, queue)
        return QueueEstimate(running, self._ahead, usual, self._cores, silence)
