"""Cancels that nobody waits for: after a first attempt that failed, and of jobs that are given up.

JupyterHub swallows what `stop` raises, and forgets the server: nobody else would end its job.
"""

from __future__ import annotations

import asyncio
from itertools import chain, repeat
from typing import TYPE_CHECKING, Protocol

from ...concurrency import in_background
from ...errors import in_words
from ..hub.jupyterhub import JobSpawner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Cancel = Callable[[], Awaitable[None]]

_RETRY_INTERVALS_S = (1.0, 5.0, 20.0, 60.0, 300.0)
"""Time before each further attempt; the last one is repeated."""

_STOP_TIMEOUT_S = 10.0
"""Time for which the stop of a server waits for further attempts."""


async def cancel_again(spawner: JobSpawner, cancels: Sequence[Cancel], failure: Exception) -> None:
    """Cancel a job in one of several ways, after a first attempt has failed with `failure`.

    After 10 s the attempts go on in the background, and `failure` is raised.
    """
    if not cancels:
        spawner.log.error(
            "%s: job %s is not cancelled, cancel it by hand: %s",
            spawner.log_name,
            spawner.job.id,
            in_words(failure),
        )
        raise failure
    work = in_background(_until_cancelled(spawner, spawner.job.id, cancels, failure))
    done, _ = await asyncio.wait([work], timeout=_STOP_TIMEOUT_S)
    if not done:
        raise failure


async def _until_cancelled(
    spawner: JobSpawner, job_id: str, cancels: Sequence[Cancel], failure: Exception
) -> None:
    name = spawner.log_name
    for pause in chain(_RETRY_INTERVALS_S, repeat(_RETRY_INTERVALS_S[-1])):
        spawner.log.error(
            "%s: job %s is not cancelled yet, it is tried again: %s",
            name,
            job_id,
            in_words(failure),
        )
        await asyncio.sleep(pause)
        for cancel in cancels:
            try:
                await cancel()
            except Exception as error:  # noqa: BLE001, PERF203  (a site's command may raise any)
                failure = error
            else:
                spawner.log.warning("%s: job %s is cancelled now", name, job_id)
                return


class OrphanOwner(JobSpawner, Protocol):
    """What the cancel of a job that is given up uses of its spawner."""

    orphan_policy: str


async def cancel_orphan(spawner: OrphanOwner, cancels: Sequence[Cancel], grace_s: float) -> None:
    """Cancel a job that its spawner is about to forget, as `orphan_policy` says.

    It is tried once `grace_s` are over, because the job may have ended. Without a grace, wait up to
    10 s for that; JupyterHub does not wait for anything else.
    """
    whose = f"{spawner.log_name}: job {spawner.job.id}, which belongs to no server any more,"
    if spawner.orphan_policy == "report":
        spawner.log.warning("%s may go on. Cancel it by hand; orphan_policy is 'report'", whose)
    elif spawner.orphan_policy == "cancel":
        work = in_background(_cancel_orphan(spawner, whose, cancels, grace_s))
        if not grace_s:
            await asyncio.wait([work], timeout=_STOP_TIMEOUT_S)


async def _cancel_orphan(
    spawner: JobSpawner, whose: str, cancels: Sequence[Cancel], grace_s: float
) -> None:
    await asyncio.sleep(grace_s)
    failure = "batch_cancel_cmd cannot be filled in"
    for cancel in cancels:
        try:
            await cancel()
        except Exception as error:  # noqa: BLE001, PERF203  (a site's command may raise any)
            failure = in_words(error)
        else:
            spawner.log.warning("%s is cancelled, unless it had ended", whose)
            return
    spawner.log.error("%s is not cancelled, cancel it by hand: %s", whose, failure)
