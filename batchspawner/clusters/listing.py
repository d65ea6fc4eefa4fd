"""Listing of a user's clusters, with the status of their jobs."""

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
from .cluster_job import QUERY_TIMEOUT_S
from .folders import ClusterRecord, plain, records

if TYPE_CHECKING:
    from ..jobs import JobInfo

_SUBMIT_TIMEOUT_S = 600.0
"""Age of a job without an id after which its submission counts as failed."""


@dataclass(frozen=True)
class ListedJob:
    """Record and status of a job; the status is None if its scheduler does not answer."""

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


async def listing() -> list[ListedJob]:
    """Return all jobs of this user's clusters, oldest first."""
    found = await asyncio.gather(*map(_listed, records()))
    return [one for one in found if one is not None]


async def _listed(record: ClusterRecord) -> ListedJob | None:
    try:
        client = BatchClient(find_scheduler(record.scheduler))
        if not record.job_id:
            ids = await client.find(record.tag)
            if not ids:
                _remove_unsubmitted(record)
                return None
            record = record.submitted(ids[0])
        return ListedJob(record, await within(QUERY_TIMEOUT_S, client.status(record.job_id)))
    except (LookupError, SchedulerError, asyncio.TimeoutError):
        return ListedJob(record, None)


def _remove_unsubmitted(record: ClusterRecord) -> None:
    """Remove the folder of a job whose submission has failed."""
    if time.time() - record.folder.path.stat().st_mtime > _SUBMIT_TIMEOUT_S:
        record.folder.remove()
