"""A Hub for one test, and helpers that end servers."""

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
    """Start a Hub, and end it with all of its servers, also if the test fails."""
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
    """End all servers of all users, named ones too."""
    for user in hub.users:
        servers = hub.api("GET", f"users/{user}").json()["servers"]
        for name in filter(None, servers):
            hub.api("DELETE", f"users/{user}/servers/{name}")
        if "" in servers:
            hub.end(user)
