"""The submit of one server's job, and the search for a job whose id was never stored."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ...errors import BatchError, SchedulerError
from ...jobs import JobRequest
from ...message import Message
from ..failures.job_log import earlier_log, log_of_namesake, log_path
from ..failures.spawn_failure import SpawnFailure, failure_of_submit
from ..hub import metrics
from ..hub.jupyterhub import user_name
from ..hub.state_writer import commit_state, store_state
from ..hub.tags import new_tag
from ..progress import log as progress_log
from ..progress.messages import describe_request, describe_submit, requested_resources
from ..secrets.package import pack
from .exec_prefix import check_account
from .orphans import look_for_orphans
from .submit_queue import Slot, shared_queue

if TYPE_CHECKING:
    from ...client.batch_client import BatchClient
    from ..progress.messages import StartDescription
    from ..secrets.package import Package
    from .backend import BackendSpawner


_SEARCH_INTERVAL_S = 5.0
"""Time between two searches for a job while the scheduler does not answer."""


class Submission:
    """Submit of one server's job, when its turn in the queue of submits has come."""

    def __init__(self, spawner: BackendSpawner, client: BatchClient) -> None:
        self._spawner = spawner
        self._client = client
        self._slot: Slot | None = None

    async def make(self) -> None:
        """Submit the job. Raises SpawnFailure if it was refused or nobody answered."""
        spawner = self._spawner
        check_account(spawner)
        package = await pack(spawner, self._client.scheduler, self._client.leave)
        spawner.log.debug("%s: job script\n%s", spawner.log_name, package.shown)
        look_for_orphans(self._client, spawner)
        queue = shared_queue(spawner.scheduler_name, spawner.submit_concurrency)
        self._slot = queue.reserve(user_name(spawner))
        progress_log.append(spawner, 0, self.describe().headline)
        async with queue.turn(self._slot):
            self._slot = None
            await self._submit(package)

    def describe(self) -> StartDescription:
        """Return what is known before the submit: how many others come first."""
        ahead = self._slot.ahead if self._slot else 0
        return describe_submit(ahead, self._client.scheduler.title)

    async def find_again(self) -> bool:
        """Find a job whose id was never stored, because the Hub died while it submitted.

        Returns True, and finds no id, if the scheduler does not answer.
        """
        spawner = self._spawner
        if not spawner.job.tag:
            return False
        try:
            found = await self._client.find(spawner.job.tag)
        except BatchError as error:
            spawner.log.warning("%s: cannot look for its job: %s", spawner.log_name, error)
            return True
        if found:
            spawner.job.identified(found[0])
            commit_state(spawner)
        return bool(found)

    async def until_found(self) -> None:
        """Wait until such a job is found. Raises SpawnFailure if there is none."""
        while not self._spawner.job.id:
            if not await self.find_again():
                raise SpawnFailure(
                    Message("The job was never submitted: the Hub was restarted before.")
                )
            if not self._spawner.job.id:
                await asyncio.sleep(_SEARCH_INTERVAL_S)

    async def _submit(self, package: Package) -> None:
        spawner, job, title = self._spawner, self._spawner.job, self._client.scheduler.title
        # The tag is stored first, so that a Hub that dies now can find its job again.
        job.prepared(package.claim.dump() if package.claim else {}, tag=new_tag(spawner))
        earlier = await earlier_log(package.script, self._client.log_before)
        await store_state(spawner)
        began = time.time()
        request = JobRequest(package.script, job.tag, package.environment)
        try:
            job_id = await self._client.submit(request)
        except SchedulerError as error:
            self._count(error.kind)
            spawner.log.error("%s: %s", spawner.log_name, error)
            raise failure_of_submit(title, error) from error
        requested = requested_resources(package.variables)
        log = log_path(package.script, job_id)
        job.submitted(job_id, log, *earlier, at=time.time(), requested=requested)
        self._count("accepted")
        progress_log.append(spawner, 10, describe_request(job_id, title, requested))
        spawner.log.info("%s: submitted job %s", spawner.log_name, job_id)
        if not earlier.changed_at:
            job.found_log(*await log_of_namesake(package.script, job_id, began))

    def _count(self, outcome: str) -> None:
        metrics.SUBMITS.labels(scheduler=self._client.scheduler.name, outcome=outcome).inc()
