"""The row of the job in which this server runs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..jobs import JobState
from ..message import Message
from .own_job import own_job, own_log
from .rows import SERVER, Row, status_fields
from .usage import UsageReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .watches import Watches

_USAGE_INTERVAL_S = 5.0
"""Between two measurements of what the job uses."""

_GPU_INTERVAL_S = 15.0
"""The same for its GPUs, which a program has to be started for."""

_POLL_S = 120.0
"""How old the status of the job may become: its end is known from its environment."""


class ServerRow:
    """The row of this server's own job, and what that uses; `environment` is that of the job."""

    def __init__(self, environment: Mapping[str, str], watches: Watches) -> None:
        self._own, self._watches = own_job(), watches
        self._usage = UsageReader(environment)
        self._measured = self._gpus_asked = float("-inf")
        self.job_id = self._own.job_id if self._own else ""
        self._row = Row(SERVER, SERVER, "", self.job_id, state=JobState.RUNNING.name)

    async def ask_gpus(self) -> None:
        """Ask the GPUs how busy they are, if it is time to."""
        if time.monotonic() - self._gpus_asked >= _GPU_INTERVAL_S:
            self._gpus_asked = time.monotonic()
            await self._usage.ask_gpus()

    def rows(self) -> list[Row]:
        """Return the row, or nothing if this server runs in no job."""
        if self._own is None:
            return []
        scheduler, row = self._own.scheduler, self._row
        if time.monotonic() - self._measured >= _USAGE_INTERVAL_S:
            self._measured = time.monotonic()
            row = replace(row, usage=self._usage.read())
        words = Message(JobState.RUNNING.value)
        known: dict[str, Any] = {"words": words, "can_cancel": bool(scheduler)}
        if scheduler is not None:
            watch = self._watches.watch(SERVER, scheduler.name, self.job_id, _POLL_S)
            if watch is not None:
                known.update(status_fields(scheduler, watch.status))
            known["scheduler"] = scheduler.name
        known["started"] = known.get("started") or self._own.started
        known["until"] = known.get("until") or self._own.end
        known["has_log"] = own_log() is not None
        self._row = replace(row, **known)
        return [self._row]
