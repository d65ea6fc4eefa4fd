"""Add to JupyterHub's pages: time left, how a server ended, a notification when one is ready."""

from __future__ import annotations

import time
from importlib.resources import files
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ...jobs import JobState
from ..hub.handler import innermost
from .past_ends import ending_of
from .time_left import limit_of, say_left

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOON = 900.0
"""Seconds before the end of a server from which on its time is shown as a warning."""


def use_pages(c: Any) -> None:
    """Let a Hub show our pages; call it in jupyterhub_config.py with the configuration.

    A site's own templates of the same names rule, if their folder is set before.
    """
    folder = str(files("batchspawner.templates").joinpath("hub"))
    paths = c.JupyterHub.template_paths
    # JupyterHub itself adds the folder of its own pages behind all others.
    c.JupyterHub.template_paths = [*(paths if isinstance(paths, list) else ()), folder]
    # Not the functions themselves: JupyterHub would call them for each page, nobody logged in.
    helpers = SimpleNamespace(servers=servers, end_of=end_of, endings=endings)
    c.JupyterHub.template_vars.update({"batchspawner": helpers})


def servers(user: Any) -> Iterator[dict[str, Any]]:
    """Yield what the home page tells of each server of a user; the template calls it."""
    for name in sorted(user.spawners):
        outer = user.spawners[name]
        spawner = innermost(outer)
        end = _end(spawner) if outer.ready else None
        if end is not None:
            yield {
                "name": name,
                "job_id": spawner.job_id,
                "left": say_left(end),
                "end": end,
                "soon": end - time.time() < _SOON,
            }


def end_of(user: Any, name: str = "") -> str:
    """Return how a user's server ended that ended by itself, or nothing; the template calls it."""
    outer = user.spawners.get(name)
    return "" if outer is None or outer.active else ending_of(user.name, name)


def endings(user: Any) -> Iterator[str]:
    """Yield how each server of a user ended that ended by itself; the template calls it."""
    yield from filter(None, (end_of(user, name) for name in sorted(user.spawners)))


def _end(spawner: Any) -> float | None:
    """Return when a server's job reaches its walltime, where that is known."""
    status = getattr(getattr(spawner, "backend", None), "status", None)
    if status is None or status.state is not JobState.RUNNING:
        return None
    limit = limit_of(spawner)
    if status.end is None and status.start is not None and limit:
        return float(status.start) + limit
    return None if status.end is None else float(status.end)
