"""Estimates for the waiting user: how many jobs are before theirs, how long it usually takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...client.availability import cached_answer
from ..hub import metrics
from .messages import QueueEstimate
from .wait_statistics import median_wait, note_wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...client.batch_client import BatchClient
    from ...jobs import JobInfo
    from ..server_job import ServerJob

_MIN_WAIT_S = 0.1
"""Least wait that is recorded, because 0 stands for an unknown one."""


_MAX_AGE_S = 900.0
"""Age from which on an answer about the queue is not shown any more."""


class QueueEstimator:
    """Queue estimate of one server's job, asked of the scheduler and shared with all users."""

    def __init__(self, job: ServerJob, client: BatchClient) -> None:
        self._job = job
        self._client = client
        self._ahead: int | None = None
        self._cores: tuple[int, int] | None = None

    async def update(self, status: JobInfo | None) -> None:
        """Look up what is before a waiting job; all users share the queries."""
        if status is None or not status.state.is_waiting:
            self._ahead = self._cores = None
            return
        self._ahead = (await self._ask("ahead")).get(status.job_id)
        self._cores = None
        if self._client.scheduler.explain(status.reason).of_cores:
            limit, used = (await self._ask("core_usage")).get(status.job_id, ("", 0))
            allowed = (await self._ask("core_limits")).get(limit)
            self._cores = None if allowed is None else (used, allowed)

    async def _ask(self, method: str) -> Mapping[str, Any]:
        """Return the newest answer without waiting for one; empty if there is no answer yet."""
        cache = cached_answer(self._client.scheduler, self._client.query_runner, method)
        answer = await cache.get(timeout=0)
        # An answer is not dropped while a newer one is fetched: the page would change twice.
        known = answer.value is not None and (answer.age or 0.0) < _MAX_AGE_S
        return answer.value or {} if known else {}

    def note_start(self, status: JobInfo | None) -> None:
        """Record how long the job waited, once it runs."""
        job, name = self._job, self._client.scheduler.name
        if not job.waited and job.submitted_at:
            now = time.time()
            started = status.start if status and status.start else now
            if not job.submitted_at <= started <= now:
                started = now  # the scheduler's clock is another one
            job.started(max(_MIN_WAIT_S, started - job.submitted_at))
            metrics.PENDING.labels(scheduler=name).observe(job.waited)
        if job.waited and status is not None:
            note_wait(name, status.queue, status.job_id, job.waited)

    def estimate(
        self, status: JobInfo | None, running_s: float, unanswered_s: float
    ) -> QueueEstimate:
        """Return what is known besides the job's status.

        The job has run for `running_s`; the scheduler has not answered for `unanswered_s`.
        """
        queue = status.queue if status else ""
        usual = median_wait(self._client.scheduler.name, queue)
        return QueueEstimate(running_s, self._ahead, usual, self._cores, unanswered_s)
