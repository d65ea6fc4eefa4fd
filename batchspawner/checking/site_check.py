"""All checks of a site in their order; each one runs as far as the earlier ones allow."""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .configuration import check_hub, load_site
from .findings import CheckAborted, wrong
from .hub_host import check_commands, check_scheduler, check_user, make_target
from .job_control import CommandControl, SchedulerControl
from .job_findings import job_findings
from .job_report import listening
from .job_script import check_script
from .offered_spawners import check_jobs, choices_of, make_outer, spawner_of
from .probe_job import run_probe
from .unread_settings import check_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from .configuration import CheckedSpawner, Site
    from .findings import Finding
    from .offered_spawners import Choice, MadeSpawner


@dataclass(frozen=True)
class Request:
    """What to check of a site.

    `user` owns the test job, which may wait in the queue for `queue_timeout_s`; without `job`,
    nothing is submitted. `profile` is the key of the only profile to check, and `options` are what
    a user would choose.
    """

    file: Path
    user: str
    queue_timeout_s: float
    job: bool = True
    profile: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


async def check_site(request: Request) -> AsyncIterator[Finding]:
    """Yield each finding about a site as soon as it is known."""
    try:
        site = load_site(request.file)
        with contextlib.closing(site):
            try:
                outer = make_outer(site, request.user)
                choices = await choices_of(outer, request.profile)
            except CheckAborted:
                for finding in check_settings(site, _classes(site, ())):
                    yield finding
                raise
            for finding in check_settings(site, _classes(site, choices)):
                yield finding
            check_jobs(choices)
            if request.options and len(choices) > 1:
                text = "--option needs --profile: each profile has options of its own"
                raise CheckAborted(wrong("options", text))
            for choice in choices:
                async for finding in _check_choice(site, outer, choice, request):
                    yield finding
    except CheckAborted as aborted:
        yield aborted.finding


def _classes(site: Site, choices: Sequence[Choice]) -> list[type]:
    """Return the classes of which a Hub with this configuration makes objects."""
    app = site.app
    classes = [type(app), app.spawner_class, app.authenticator_class, app.proxy_class]
    return [*classes, *(one.spawner for one in choices)]


async def _check_choice(
    site: Site, outer: MadeSpawner, choice: Choice, request: Request
) -> AsyncIterator[Finding]:
    """Yield the findings about the server that a choice starts."""
    try:
        spawner = await spawner_of(outer, choice, request.options)
        for finding in check_hub(site, spawner):
            yield replace(finding, profile=choice.slug)
        async for finding in _check_spawner(spawner, request):
            yield replace(finding, profile=choice.slug)
    except CheckAborted as aborted:
        yield replace(aborted.finding, profile=choice.slug)
    except Exception as error:  # noqa: BLE001  (a site's own classes may raise anything)
        text = f"the check ended with {type(error).__name__}: {error}{_place(error)}"
        yield replace(wrong("check", text), profile=choice.slug)


def _place(error: Exception) -> str:
    """Return where an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


async def _check_spawner(spawner: CheckedSpawner, request: Request) -> AsyncIterator[Finding]:
    yield check_user(spawner)
    target = make_target(spawner)
    control = target.control
    if isinstance(control, SchedulerControl):
        yield check_commands(control.client)
        for finding in await check_scheduler(target, control.client):
            yield finding
    elif isinstance(control, CommandControl):
        yield control.reasons()
    if not request.job:
        for finding in await check_script(target):
            yield finding
        return
    async with listening(spawner.hub) as listener:
        run, found = await run_probe(target, listener, request.queue_timeout_s)
    for finding in (*found, *job_findings(target, run, request.queue_timeout_s)):
        yield finding


async def collect(request: Request) -> list[Finding]:
    """Return all findings about a site."""
    return [one async for one in check_site(request)]
