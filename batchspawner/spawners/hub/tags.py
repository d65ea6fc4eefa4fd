"""Make the words by which the Hub finds its jobs again, and tells them from those of other Hubs."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

# Fifteen characters, the most that a name of a job may have in an old PBS.
TAG = re.compile(r"\bjh-[0-9a-f]{12}\b")


def hub_word(spawner: Any) -> str:
    """Return what begins all tags of this Hub: the same after a restart, another for each Hub."""
    settings = getattr(spawner.user, "settings", None) or {}
    secret = settings.get("cookie_secret") or b""
    return "jh-" + hashlib.sha256(b"batchspawner " + secret).hexdigest()[:4]


def new_tag(spawner: Any) -> str:
    """Return a tag that no other job has."""
    return hub_word(spawner) + secrets.token_hex(4)
