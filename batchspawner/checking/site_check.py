"""All checks of a site in their order; each one runs as far as the earlier ones allow."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .configuration import check_hub, check_settings, load_site, make_spawner
from .findings import CheckAborted
from .hub_host import check_commands, check_scheduler, check_user, make_target
from .job_findings import job_findings
from .job_report import listening
from .probe_job import run_probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .configuration import CheckedSpawner
    from .findings import Finding


async def check_site(
    file: Path, user: str, *, queue_timeout_s: float, job: bool = True
) -> AsyncIterator[Finding]:
    """Yield each finding about a site as soon as it is known.

    `user` owns the test job, which may wait in the queue for `queue_timeout_s`; without `job`,
    nothing is submitted.
    """
    try:
        site = load_site(file)
        with contextlib.closing(site):
            for finding in check_settings(site):
                yield finding
            spawner = make_spawner(site, user)
            for finding in check_hub(site, spawner):
                yield finding
            async for finding in _check_spawner(spawner, queue_timeout_s, job=job):
                yield finding
    except CheckAborted as aborted:
        yield aborted.finding


async def _check_spawner(
    spawner: CheckedSpawner, queue_timeout_s: float, *, job: bool
) -> AsyncIterator[Finding]:
    target = make_target(spawner)
    yield check_user(target)
    yield check_commands(target)
    for finding in await check_scheduler(target):
        yield finding
    if not job:
        return
    async with listening(spawner.hub) as listener:
        run, found = await run_probe(target, listener, queue_timeout_s)
    for finding in (*found, *job_findings(target, run, queue_timeout_s)):
        yield finding


async def collect(
    file: Path, user: str, *, queue_timeout_s: float, job: bool = True
) -> list[Finding]:
    """Return all findings about a site."""
    return [one async for one in check_site(file, user, queue_timeout_s=queue_timeout_s, job=job)]
