"""Show a server that an earlier Hub process had begun to start as one that starts.

JupyterHub checks such a server when it begins, but shows it neither as starting nor its progress.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ...concurrency import in_background
from ..failures.spawn_failure import SpawnFailure
from ..hub.lookup import add_route, hub_spawner
from ..hub.metrics import counting_failures


async def adopt(spawner: Any) -> bool:
    """Wait until a job that an earlier Hub submitted serves; False where it does not.

    Called from `get_url`, while JupyterHub checks which servers still run.
    """
    outer = hub_spawner(spawner)
    finished = asyncio.get_running_loop().create_future()
    outer._spawn_pending, outer._spawn_future = True, finished
    work = asyncio.ensure_future(_resume(spawner))
    # Who stops a server that starts cancels this.
    finished.add_done_callback(lambda _: work.cancel())
    failure: BaseException | None = None
    try:
        await work
    except asyncio.CancelledError as error:
        failure = error
        if not finished.cancelled():
            raise
    except SpawnFailure as error:
        spawner.log.warning("%s: %s", spawner._log_name, error)
        failure = error
    except Exception as error:
        spawner.log.exception("%s: its job %s is not adopted", spawner._log_name, spawner.job_id)
        failure = error
    in_background(_finish(outer, finished, failure))
    return failure is None


async def _resume(spawner: Any) -> None:
    with counting_failures(spawner.scheduler_name):
        await spawner.backend.resume()


async def _finish(
    outer: Any, finished: asyncio.Future[None], failure: BaseException | None
) -> None:
    """End the start in JupyterHub's eyes, once it has finished its check."""
    if failure is not None:
        outer._spawn_pending = False
        if not finished.done():
            finished.set_exception(failure)
            finished.exception()  # whoever shows the page may look; nobody has to
        return
    while outer._check_pending:
        await asyncio.sleep(0.1)
    try:
        # Not spawning any more: it was stopped meanwhile.
        if outer._spawn_pending:
            await add_route(outer)
    finally:
        outer._spawn_pending = False
        if not finished.done():
            finished.set_result(None)
