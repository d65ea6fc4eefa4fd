"""Make all checks in their order, as far as each one lets the next ones go."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .hub_host import look_at_answer, look_at_commands, look_at_user, make_bench
from .probe_job import run_job
from .report_listener import listening
from .site import Broken, load_site, look_at_hub, look_at_settings, make_spawner
from .verdicts import judge_course

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .findings import Finding


async def check_site(
    file: Path, user: str, *, patience: float, job: bool = True
) -> AsyncIterator[Finding]:
    """Yield each finding about a site as soon as it is made."""
    try:
        site = load_site(file)
        with contextlib.closing(site):
            for finding in look_at_settings(site):
                yield finding
            spawner = make_spawner(site, user)
            for finding in look_at_hub(site, spawner):
                yield finding
            async for finding in _check_spawner(spawner, patience, job=job):
                yield finding
    except Broken as broken:
        yield broken.finding


async def _check_spawner(spawner: Any, patience: float, *, job: bool) -> AsyncIterator[Finding]:
    bench = make_bench(spawner)
    for look in (look_at_user, look_at_commands):
        for finding in look(bench):
            yield finding
    for finding in await look_at_answer(bench):
        yield finding
    if not job:
        return
    async with listening(spawner.hub) as listener:
        course, found = await run_job(bench, listener, patience, spawner.req_homedir)
    for finding in (*found, *judge_course(bench, course, patience)):
        yield finding


async def collect(file: Path, user: str, *, patience: float, job: bool = True) -> list[Finding]:
    """Return all findings about a site."""
    return [one async for one in check_site(file, user, patience=patience, job=job)]
