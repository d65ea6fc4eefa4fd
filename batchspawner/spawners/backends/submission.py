"""Submit one spawner's job once, and find it again where its id was never stored."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ...errors import BatchError, SchedulerError
from ...jobs import JobRequest
from ..failures.job_log import log_path, note_beginning
from ..failures.spawn_failure import SpawnFailure, failure_of_submit
from ..hub import metrics
from ..hub.state import commit_state, store_state
from ..hub.tags import new_tag
from ..progress.log import tell
from ..progress.messages import describe_request, describe_submit
from ..progress.past_ends import forget_end
from ..secrets.package import pack
from .orphans import look_for_orphans
from .submit_queue import Slot, shared_gate

if TYPE_CHECKING:
    from ...client.batch_client import BatchClient
    from ..secrets.package import Package


_PAUSE = 5.0
"""Seconds between two searches for a job while the scheduler does not answer."""


class Submission:
    """Hand a job over in its turn."""

    def __init__(self, spawner: Any, client: BatchClient) -> None:
        self._spawner = spawner
        self._client = client
        self._ticket: Slot | None = None

    async def make(self) -> None:
        """Submit the job. Raises SpawnFailure where it was refused or nobody answered."""
        spawner = self._spawner
        forget_end(spawner)
        package = await pack(spawner, self._client.scheduler, self._client.leave)
        spawner.log.debug("%s: job script\n%s", spawner._log_name, package.shown)
        look_for_orphans(self._client, spawner)
        gate = shared_gate(spawner.scheduler_name, spawner.submit_concurrency)
        self._ticket = gate.ticket(spawner.user.name)
        tell(spawner, 0, self.describe())
        async with gate.entered(self._ticket):
            await self._hand_over(package)

    def describe(self) -> str:
        """Say how many submits come first."""
        ahead = self._ticket.ahead if self._ticket else 0
        return describe_submit(ahead, self._client.scheduler.title)

    async def find_again(self) -> bool:
        """Find a job whose id was never stored, because the Hub died while it submitted.

        True, and no id, where the scheduler does not answer.
        """
        spawner = self._spawner
        if not spawner.job_tag:
            return False
        try:
            found = await self._client.find(spawner.job_tag)
        except BatchError as error:
            spawner.log.warning("%s: cannot look for its job: %s", spawner._log_name, error)
            return True
        if found:
            spawner.job_id = found[0]
            commit_state(spawner)
        return bool(found)

    async def until_found(self) -> None:
        """Wait until such a job is found. Raises SpawnFailure where there is none."""
        while not self._spawner.job_id:
            if not await self.find_again():
                raise SpawnFailure("The job was never submitted: the Hub was restarted before.")
            if not self._spawner.job_id:
                await asyncio.sleep(_PAUSE)

    async def _hand_over(self, package: Package) -> None:
        spawner = self._spawner
        # The tag is stored first, so that a Hub that dies now can find its job again.
        spawner.job_tag = new_tag(spawner)
        spawner.job_claim = package.claim.dump() if package.claim else {}
        await note_beginning(spawner, package.script)
        await store_state(spawner)
        request = JobRequest(package.script, spawner.job_tag, package.environment)
        try:
            spawner.job_id = await self._client.submit(request)
        except SchedulerError as error:
            self._count(error.kind)
            spawner.log.error("%s: %s", spawner._log_name, error)
            raise failure_of_submit(self._client.scheduler.title, error) from error
        self._count("accepted")
        spawner.submitted_at = time.time()
        spawner.job_log = log_path(package.script, spawner.job_id)
        asked = spawner.script_variables()
        tell(spawner, 10, describe_request(spawner.job_id, self._client.scheduler.title, asked))
        spawner.log.info("%s: submitted job %s", spawner._log_name, spawner.job_id)

    def _count(self, outcome: str) -> None:
        metrics.SUBMITS.labels(scheduler=self._client.scheduler.name, outcome=outcome).inc()
