"""Look after a server that runs: say at once that it has ended, follow it where it restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...concurrency import in_background
from ...errors import SchedulerError
from ..hub.lookup import hub_spawner, move_server, notify_of_end
from ..hub.state import commit_state
from .http_probe import answers_http

if TYPE_CHECKING:
    from ...client.batch_client import BatchClient
    from ...client.watch import Watch
    from ...jobs import JobInfo

_LOOK = 0.2
"""Seconds between two looks whether a server that restarted answers."""

_PAUSE = 5.0
"""Seconds until what failed is tried again, such as a proxy that is not there."""

_SILENCE = 120.0
"""Seconds that a job which was started again may be silent before we ask whether it is ours."""


class Watchdog:
    """Follow the job of one running server, as long as its watch is open."""

    def __init__(self, spawner: Any, watch: Watch, client: BatchClient) -> None:
        self._spawner = spawner
        self._watch = watch
        self._client = client
        # When the run began from which the server reported.
        self._run = watch.status.start if watch.status else None
        self.lost = False
        """Whether the job's id belongs to a job of somebody else by now."""
        # What comes from now on is news of a job that was restarted.
        spawner.report.clear()
        self._task = asyncio.ensure_future(self._follow())

    def close(self) -> None:
        """Stop looking after the server."""
        self._task.cancel()

    async def _follow(self) -> None:
        seen = self._watch.status
        while not (seen and seen.is_final) and not self.lost:
            seen = await self._step(seen)
        # Not in this task: what follows closes the watch, and so cancels us.
        in_background(notify_of_end(self._spawner))

    async def _step(self, seen: JobInfo | None) -> JobInfo | None:
        """Wait for news, and return what is seen now; after a failure that is what was seen."""
        try:
            return await self._heed(seen)
        except Exception:
            self._spawner.log.exception(
                "%s: cannot follow job %s; trying again",
                self._spawner._log_name,
                self._spawner.job_id,
            )
            await asyncio.sleep(_PAUSE)
            return seen

    async def _heed(self, seen: JobInfo | None) -> JobInfo | None:
        """Wait for news, do what they ask for, and return the status that is known then."""
        silent = self._is_silent(seen)
        if not await self._news(seen, _SILENCE if silent else None):
            self.lost = not await self._is_ours()
            self._run = seen.start if seen else None
        elif self._spawner.report.is_set():
            self._spawner.report.clear()
            try:
                await self._move()
            except Exception:
                self._spawner.report.set()
                raise
            self._run = self._watch.status.start if self._watch.status else None
        now = self._watch.status
        if now and now.state.is_waiting and not (seen and seen.state.is_waiting):
            self.lost = not await self._is_ours()
            self._tell_waiting(now)
        return now

    async def _news(self, seen: JobInfo | None, timeout: float | None) -> bool:
        """Wait for another status or for a report; False where neither came in time."""
        news = asyncio.ensure_future(self._watch.change(seen))
        report = asyncio.ensure_future(self._spawner.report.wait())
        try:
            done, _ = await asyncio.wait(
                [news, report], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            news.cancel()
            report.cancel()
        return bool(done)

    def _is_silent(self, status: JobInfo | None) -> bool:
        """Tell whether the job runs anew, and nobody has reported from this run."""
        if status is None or status.start is None:
            return False
        if self._run is None:
            self._run = status.start
        return status.start != self._run

    def _tell_waiting(self, now: JobInfo) -> None:
        if not self.lost:
            self._spawner.log.warning(
                "%s: job %s was put back into the queue: %s",
                self._spawner._log_name,
                self._spawner.job_id,
                now.describe(),
            )

    async def _is_ours(self) -> bool:
        """Ask whether the job still carries our tag: a scheduler that lost its state may have
        given the id to another one.
        """
        spawner = self._spawner
        if not spawner.job_tag or ";" in spawner.job_id:
            return True
        try:
            found = await self._client.find(spawner.job_tag)
        except SchedulerError as error:
            spawner.log.info("%s: cannot look for its job: %s", spawner._log_name, error)
            return True
        if spawner.job_id not in found:
            spawner.log.error(
                "%s: job %s is another one now; the scheduler has lost ours",
                spawner._log_name,
                spawner.job_id,
            )
        return spawner.job_id in found

    async def _move(self) -> None:
        """Point Hub and proxy at a server that its job has started anew."""
        spawner, port = self._spawner, self._spawner.port
        await self._watch.renewed()
        status = await self._watch.until(lambda now: now.is_final or bool(now.host))
        if status.is_final:
            return
        host = spawner.reported_host or spawner.connect_host(status.host)
        while spawner.unconfirmed_port or not (
            spawner.internal_ssl or await answers_http(host, port)
        ):
            await asyncio.sleep(_LOOK)
            if self._watch.status and self._watch.status.is_final:
                return
        spawner.job_host, spawner.job_port = host, port
        await move_server(spawner, host, port)
        commit_state(spawner)
        spawner.log.warning(
            "%s: job %s was restarted; its server is at %s:%s now",
            hub_spawner(spawner)._log_name,
            spawner.job_id,
            host,
            port,
        )
