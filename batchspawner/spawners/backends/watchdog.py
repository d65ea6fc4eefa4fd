"""The watchdog of a running server: it reports its end at once, and follows it if it restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...concurrency import in_background
from ...errors import SchedulerError
from ..hub.jupyterhub import add_route, notify_of_end, settled
from ..hub.state_writer import commit_address, commit_state
from .http_probe import answers_http

if TYPE_CHECKING:
    from ...client.batch_client import BatchClient
    from ...client.watch import Watch
    from ...jobs import JobInfo
    from .backend import BackendSpawner

_PROBE_INTERVAL_S = 0.2
"""Time between two probes whether a server that restarted answers."""

_RETRY_INTERVAL_S = 5.0
"""Time until what failed is tried again, such as a proxy that does not answer."""

_REPORT_TIMEOUT_S = 120.0
"""Time after which a restarted job that has not reported is checked to be the same job."""


class Watchdog:
    """Follows the job of one running server, as long as its watch is open.

    Its task runs only while there is something to do: a Hub has thousands of watchdogs.
    """

    def __init__(self, spawner: BackendSpawner, watch: Watch, client: BatchClient) -> None:
        self._spawner = spawner
        self._job = spawner.job
        self._watch = watch
        self._client = client
        self._seen = watch.status
        # When the run began from which the server reported.
        self._run = watch.status.start if watch.status else None
        self.lost = False
        """Whether the job's id belongs to a job of somebody else by now."""
        # A report from now on comes from a job that was restarted.
        self._job.report.clear()
        self._events = (watch.changed, self._job.report)
        for event in self._events:
            event.add_callback(self._wake_up)
        self._task: asyncio.Future[None] | None = None
        self._wake_up()

    def close(self) -> None:
        """Stop looking after the server."""
        for event in self._events:
            event.remove_callback(self._wake_up)
        if self._task is not None:
            self._task.cancel()

    def _wake_up(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        """Handle changes until there are no more, or the job has ended."""
        while not (self.lost or (self._seen and self._seen.is_final)):
            if self._is_settled():
                self._task = None
                return
            try:
                await self._handle_change()
            except Exception:
                self._spawner.log.exception(
                    "%s: cannot follow job %s; trying again", self._spawner.log_name, self._job.id
                )
                await asyncio.sleep(_RETRY_INTERVAL_S)
        # Not in this task: what follows closes the watch, and so cancels us.
        in_background(notify_of_end(self._spawner))

    def _is_settled(self) -> bool:
        """Return whether nothing has changed, and no report is awaited."""
        is_reported = not self._is_unreported(self._seen)
        return is_reported and self._watch.status == self._seen and not self._job.report.is_set()

    async def _handle_change(self) -> None:
        """Do what a change asks for; a report is awaited for a while, if there is nothing else."""
        seen = self._seen
        if not await self._watch.change_or(self._job.report, seen, _REPORT_TIMEOUT_S):
            self.lost = not await self._is_ours()
            self._run = seen.start if seen else None
        elif self._job.report.is_set():
            self._job.report.clear()
            try:
                await self._move()
            except Exception:
                self._job.report.set()
                raise
            self._run = self._watch.status.start if self._watch.status else None
        now = self._watch.status
        if now and now.state.is_waiting and not (seen and seen.state.is_waiting):
            self.lost = not await self._is_ours()
            self._log_waiting(now)
        self._seen = now

    def _is_unreported(self, status: JobInfo | None) -> bool:
        """Return whether the job was started again, and has not reported since."""
        if status is None or status.start is None:
            return False
        if self._run is None:
            self._run = status.start
        return status.start != self._run

    def _log_waiting(self, now: JobInfo) -> None:
        if not self.lost:
            self._spawner.log.warning(
                "%s: job %s was put back into the queue: %s",
                self._spawner.log_name,
                self._job.id,
                now.describe(),
            )

    async def _is_ours(self) -> bool:
        """Return whether the job still carries its tag.

        A scheduler that lost its state may have given the id to another job.
        """
        spawner, job = self._spawner, self._job
        if not job.tag or ";" in job.id:
            return True
        try:
            found = await self._client.find(job.tag)
        except SchedulerError as error:
            spawner.log.info("%s: cannot look for its job: %s", spawner.log_name, error)
            return True
        if job.id not in found:
            spawner.log.error(
                "%s: job %s is another one now; the scheduler has lost ours",
                spawner.log_name,
                job.id,
            )
        return job.id in found

    async def _move(self) -> None:
        """Point Hub and proxy at a server that its job has started again."""
        spawner, port = self._spawner, self._spawner.port
        await self._watch.renewed()
        status = await self._watch.until(lambda now: now.is_final or bool(now.host))
        if status.is_final:
            return
        host = self._job.reported_host or spawner.connect_host(status.host)
        while self._job.unconfirmed_port or not (
            spawner.internal_ssl or await answers_http(host, port)
        ):
            await asyncio.sleep(_PROBE_INTERVAL_S)
            if self._watch.status and self._watch.status.is_final:
                return
        self._job.serving(host, port)
        if await settled(spawner):
            spawner.ip, spawner.port = host, port
            commit_address(spawner, host, port)
            await add_route(spawner)
        else:
            commit_state(spawner)
        spawner.log.warning(
            "%s: job %s was restarted; its server is at %s:%s now",
            spawner.log_name,
            self._job.id,
            host,
            port,
        )
