"""Keep what a spawner must know again after a restart of the Hub."""

from __future__ import annotations

from enum import Enum
from typing import Any

from .hub import hub_spawner


class JobStatus(Enum):
    """Name the four answers of `query_job_status`, as configurations and subclasses know them."""

    NOTFOUND = 0
    RUNNING = 1
    PENDING = 2
    UNKNOWN = 3


STATE_KEYS = (
    "job_id",
    "job_status",
    "job_tag",
    "job_host",
    "job_port",
    "reported_host",
    "reported_port",
    "submitted_at",
    "waited",
    "story",
)
"""Attributes of the spawner that its saved state holds, each only where it is not empty."""


def saved_state(spawner: Any) -> dict[str, Any]:
    """Return the part of the saved state that is about the job."""
    return {key: getattr(spawner, key) for key in STATE_KEYS if getattr(spawner, key)}


def restore_state(spawner: Any, state: dict[str, Any]) -> None:
    """Set the spawner's attributes from a saved state; a key that it lacks is emptied."""
    for key in STATE_KEYS:
        trait = spawner.traits()[key]
        setattr(spawner, key, state[key] if key in state else trait.default(spawner))
    if spawner.reported_port:
        # A job reports once; who reads this is another Hub process than the one that heard it.
        spawner.port = spawner.reported_port


def commit_state(spawner: Any) -> None:
    """Write the spawner's state to the Hub's database now.

    JupyterHub itself writes it only after `start` has returned; a Hub that dies before would
    forget the job.
    """
    from sqlalchemy.orm import object_session

    orm_spawner = spawner.orm_spawner
    if orm_spawner is None:
        return
    orm_spawner.state = hub_spawner(spawner).get_state()
    session = object_session(orm_spawner)
    if session is not None:
        session.commit()
