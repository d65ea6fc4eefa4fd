"""Look after a server that runs: say at once that it has ended, follow it where it restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .answering import answers_http
from .hub import hub_spawner, in_background, move_server, notify_of_end
from .state import commit_state

if TYPE_CHECKING:
    from ..jobs import JobStatus
    from ..watch import Watch

_LOOK = 0.2
"""Seconds between two looks whether a server that restarted answers."""


class Keeper:
    """Follow the job of one running server, as long as its watch is open."""

    def __init__(self, spawner: Any, watch: Watch) -> None:
        self._spawner = spawner
        self._watch = watch
        # What comes from now on is news of a job that was restarted.
        spawner.report.clear()
        self._task = asyncio.ensure_future(self._follow())

    def close(self) -> None:
        """Stop looking after the server."""
        self._task.cancel()

    async def _follow(self) -> None:
        spawner, seen = self._spawner, self._watch.status
        while not (seen and seen.is_final):
            news = asyncio.ensure_future(self._watch.change(seen))
            report = asyncio.ensure_future(spawner.report.wait())
            try:
                await asyncio.wait([news, report], return_when=asyncio.FIRST_COMPLETED)
                if spawner.report.is_set():
                    spawner.report.clear()
                    await self._move()
            finally:
                news.cancel()
                report.cancel()
            self._tell_waiting(seen, self._watch.status)
            seen = self._watch.status
        # Not in this task: what follows closes the watch, and so cancels us.
        in_background(notify_of_end(spawner))

    def _tell_waiting(self, before: JobStatus | None, now: JobStatus | None) -> None:
        if now and now.state.is_waiting and not (before and before.state.is_waiting):
            self._spawner.log.warning(
                "%s: job %s was put back into the queue: %s",
                self._spawner._log_name, self._spawner.job_id, now.describe(),
            )  # fmt: skip

    async def _move(self) -> None:
        """Point Hub and proxy at a server that its job has started anew."""
        spawner, port = self._spawner, self._spawner.port
        await self._watch.renewed()
        status = await self._watch.until(lambda now: now.is_final or bool(now.host))
        if status.is_final:
            return
        host = spawner.reported_host or spawner.connect_host(status.host)
        while not (spawner.internal_ssl or await answers_http(host, port)):
            await asyncio.sleep(_LOOK)
            if self._watch.status and self._watch.status.is_final:
                return
        spawner.job_host, spawner.job_port = host, port
        await move_server(spawner, host, port)
        commit_state(spawner)
        spawner.log.warning(
            "%s: job %s was restarted; its server is at %s:%s now",
            hub_spawner(spawner)._log_name, spawner.job_id, host, port,
        )  # fmt: skip
