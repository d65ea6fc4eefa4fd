"""A Hub that one test has for itself, and the jobs that there are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.sites import no_jobs_left, start_hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hubs import Hub


@contextlib.contextmanager
def own_hub(site, folder: Path, more: str = "") -> Iterator[Hub]:
    """Start a Hub, and leave none of its jobs behind, whatever happens to the test."""
    hub = start_hub(site, folder, more)
    try:
        yield hub
    finally:
        try:
            end_servers(hub)
        finally:
            hub.stop()
    no_jobs_left(site)


def end_servers(hub: Hub) -> None:
    """End all servers, those with a name, too."""
    for user in hub.users:
        servers = hub.api("GET", f"users/{user}").json()["servers"]
        for name in filter(None, servers):
            hub.api("DELETE", f"users/{user}/servers/{name}")
        if "" in servers:
            hub.end(user)


def ids(site) -> set[str]:
    """Return the ids of all jobs of a site."""
    return {job_id for job_id, _, _ in site.jobs()}
