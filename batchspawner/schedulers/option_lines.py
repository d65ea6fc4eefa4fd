"""Options of job scripts that several schedulers write in the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@%+-]{0,1000}")
"""Values that every release of PBS, Torque and Moab passes on unchanged by ``-v NAME``.

OpenPBS turns ``"`` into a backslash, doubles backslashes and refuses a job with ``'``; Torque 4.2
cuts a value at a comma. https://github.com/jupyterhub/batchspawner/issues/300
"""


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


def matching_ids(wanted: Iterable[str], listed: Iterable[str]) -> dict[str, str]:
    """Return, for each wanted id of PBS or Torque, the listed one that stands for the same job.

    A server has a short name and a long one, and an id may lack it; but several servers in one
    listing have jobs of the same number.
    """
    by_number: dict[str, list[str]] = {}
    for one in listed:
        by_number.setdefault(one.partition(".")[0], []).append(one)
    found = {}
    for job_id in wanted:
        same = by_number.get(job_id.partition(".")[0], [])
        if job_id in same or len(same) == 1:
            found[job_id] = job_id if job_id in same else same[0]
            continue
        near = [
            one
            for one in same
            if f"{one}.".startswith(f"{job_id}.") or f"{job_id}.".startswith(f"{one}.")
        ]
        if len(near) == 1:
            found[job_id] = near[0]
    return found
