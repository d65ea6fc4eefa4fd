"""Additions to JupyterHub's pages: time left, how a server ended, a notification when ready."""

from __future__ import annotations

import time
from importlib.resources import files
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ...jobs import JobState
from ..hub.jupyterhub import innermost
from .past_ends import past_end_of
from .time_left import limit_of, say_left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...jobs import JobInfo
    from ..hub.jupyterhub import HubSpawner, HubUser, JobSpawner
    from .time_left import LimitedSpawner

_WARN_BEFORE_END_S = 900.0
"""Time before the end of a server from which on it is shown as a warning."""


def use_pages(c: Any) -> None:
    """Make a Hub show these pages; call it in jupyterhub_config.py with the configuration.

    A site's own templates of the same names take precedence, if their folder is set before.
    """
    folder = str(files("batchspawner.templates").joinpath("hub"))
    paths = c.JupyterHub.template_paths
    # JupyterHub itself adds the folder of its own pages behind all others.
    c.JupyterHub.template_paths = [*(paths if isinstance(paths, list) else ()), folder]
    # Not the functions themselves: JupyterHub would call them for each page, without a user, too.
    helpers = SimpleNamespace(servers=servers, end_of=end_of, endings=past_ends)
    c.JupyterHub.template_vars.update({"batchspawner": helpers})


def servers(user: HubUser) -> Iterator[dict[str, object]]:
    """Yield what the home page shows of each server of a user; the template calls it."""
    for name in sorted(user.spawners):
        outer = user.spawners[name]
        spawner = innermost(outer)
        end = _end(spawner) if outer.ready else None
        if end is not None:
            yield {
                "name": name,
                "job_id": cast("JobSpawner", spawner).job.id,
                "left": say_left(end),
                "end": end,
                "soon": end - time.time() < _WARN_BEFORE_END_S,
            }


def end_of(user: HubUser, name: str = "") -> str:
    """Return how a user's server ended, empty if it was stopped; the template calls it."""
    outer = user.spawners.get(name)
    return "" if outer is None or outer.active else past_end_of(user.name, name)


def past_ends(user: HubUser) -> Iterator[str]:
    """Yield how each server of a user ended that nobody stopped; the template calls it."""
    yield from filter(None, (end_of(user, name) for name in sorted(user.spawners)))


def _end(spawner: HubSpawner) -> float | None:
    """Return when a server's job reaches its walltime, None if that is not known."""
    # The backend of a spawner of this library; others have none.
    status: JobInfo | None = getattr(getattr(spawner, "backend", None), "status", None)
    if status is None or status.state is not JobState.RUNNING:
        return None
    limit = limit_of(cast("LimitedSpawner", spawner))
    if status.end is None and status.start is not None and limit:
        return status.start + limit
    return status.end
