"""Say which clusters a user has, and how their jobs fare; remove what ended ones have left."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..client.batch_client import BatchClient
from ..client.job_scripts import find_scheduler
from ..concurrency import within
from ..errors import SchedulerError
from .folders import ClusterRecord, plain, records

if TYPE_CHECKING:
    from ..jobs import JobInfo

_ANSWER = 30.0
"""Seconds that a scheduler has to say how the jobs fare."""

_SUBMITTING = 600.0
"""Seconds after which a job without an id is no longer being submitted."""


@dataclass(frozen=True)
class Known:
    """Hold a job's record and status, None where its scheduler does not answer."""

    record: ClusterRecord
    status: JobInfo | None

    @property
    def profile(self) -> str:
        return f"job_{plain(self.record.job_id)}"

    @property
    def has_ended(self) -> bool:
        return self.status is not None and self.status.is_final

    def remove(self) -> None:
        """Remove the job's folder, and the profile of a whole cluster."""
        self.record.folder.remove()
        if self.record.n:
            profile = Path(self.record.profiles) / f"profile_{self.profile}"
            shutil.rmtree(profile, ignore_errors=True)


async def overview() -> list[Known]:
    """Return all jobs of clusters of this user that are known here, oldest first."""
    found = await asyncio.gather(*map(_known, records()))
    return [one for one in found if one is not None]


async def _known(record: ClusterRecord) -> Known | None:
    try:
        client = BatchClient(find_scheduler(record.scheduler))
        if not record.job_id:
            ids = await client.find(record.tag)
            if not ids:
                _forget(record)
                return None
            record = record.submitted(ids[0])
        return Known(record, await within(_ANSWER, client.status(record.job_id)))
    except (LookupError, SchedulerError, asyncio.TimeoutError):
        return Known(record, None)


def _forget(record: ClusterRecord) -> None:
    """Remove the folder of a job that was never submitted."""
    if time.time() - record.folder.path.stat().st_mtime > _SUBMITTING:
        record.folder.remove()
