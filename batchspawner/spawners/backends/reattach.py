"""Reattachment of a server that an earlier Hub process had begun to start.

JupyterHub checks such a server when it begins, but shows it neither as starting nor its progress.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ...concurrency import in_background
from ..failures.spawn_failure import SpawnFailure
from ..hub.history import recording_start
from ..hub.jupyterhub import JobSpawner, PendingSpawn
from ..hub.metrics import counting_failures

if TYPE_CHECKING:
    from .backend import Backend


class ReattachedSpawner(JobSpawner, Protocol):
    """Spawner whose backend can wait for a job that was submitted before."""

    @property
    def backend(self) -> Backend: ...


async def reattach(spawner: ReattachedSpawner) -> bool:
    """Wait until a job that an earlier Hub submitted serves; return False if it does not.

    Called from `get_url`, while JupyterHub checks which servers still run.
    """
    pending = PendingSpawn(spawner)
    work = asyncio.ensure_future(_resume(spawner))
    # When a server is stopped while it starts, JupyterHub cancels this.
    pending.finished.add_done_callback(lambda _: work.cancel())
    failure: BaseException | None = None
    try:
        await work
    except asyncio.CancelledError as error:
        failure = error
        if not pending.finished.cancelled():
            raise
    except SpawnFailure as error:
        spawner.log.warning("%s: %s", spawner.log_name, error)
        failure = error
    except Exception as error:
        spawner.log.exception(
            "%s: its job %s cannot be taken over", spawner.log_name, spawner.job.id
        )
        failure = error
    in_background(pending.end(failure))
    return failure is None


async def _resume(spawner: ReattachedSpawner) -> None:
    with counting_failures(spawner.scheduler_name), recording_start(spawner):
        await spawner.backend.resume()
