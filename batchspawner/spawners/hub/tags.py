"""Tags of jobs, by which the Hub finds its own jobs again and knows those of other Hubs."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .jupyterhub import HubSpawner

# Fifteen characters, the most that a name of a job may have in an old PBS.
TAG = re.compile(r"\bjh-[0-9a-f]{12}\b")


def hub_word(spawner: HubSpawner) -> str:
    """Return the beginning of all tags of this Hub: the same after a restart, unique to the Hub."""
    settings: Mapping[str, Any] = getattr(spawner.user, "settings", None) or {}
    secret: bytes = settings.get("cookie_secret") or b""
    return "jh-" + hashlib.sha256(b"batchspawner " + secret).hexdigest()[:4]


def server_number(spawner: HubSpawner) -> int:
    """Return the number of a server in the Hub's database, 0 if it has none."""
    return spawner.orm_spawner.id if spawner.orm_spawner is not None else 0


def server_word(spawner: HubSpawner) -> str:
    """Return what names a server among all servers of all Hubs, for the files of its owner."""
    return f"{hub_word(spawner)}-{server_number(spawner)}"


def new_tag(spawner: HubSpawner) -> str:
    """Return a tag that no other job has."""
    return hub_word(spawner) + secrets.token_hex(4)
