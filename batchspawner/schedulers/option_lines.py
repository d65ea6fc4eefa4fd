"""Options of job scripts that several schedulers write in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def resource_option(name: str, value: object) -> str:
    """Return ``-l name=value``, or ``-n value`` and ``-n`` if the name is one character."""
    if len(name) > 1:
        return f"-l {name}={value}"
    return f"-{name}" if value is True else f"-{name} {value}"


def pbs_dependencies(jobs: Mapping[str, Sequence[str]]) -> str | None:
    """Return the option of PBS and Torque by which a job waits for others."""
    if "singleton" in jobs:
        return None
    return f"-W depend={','.join(':'.join([method, *ids]) for method, ids in jobs.items())}"
