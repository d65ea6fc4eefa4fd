"""What the job has that an agent, or a server, runs in: memory and cores on this node."""

from __future__ import annotations

import os
import resource

from .cgroups import CGROUP_ROOT, OWN_CGROUPS, memory_groups, text_in
from .job_identity import value_of

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .job_identity import Places

_MIB = 1 << 20

_NO_LIMIT = 1 << 60
"""Bytes from which on a limit is none: version 1 of cgroups writes a huge number."""


def job_limits(places: Places, root: str = CGROUP_ROOT, own: str = OWN_CGROUPS) -> dict[str, str]:
    """Return the variables by which jupyter-resource-usage learns the limits of a job.

    They have the names and the units that JupyterHub uses: MEM_LIMIT in bytes, CPU_LIMIT in
    cores. The smallest of what the scheduler says and the system enforces counts; a limit that
    nobody knows is left out. https://github.com/jupyter-server/jupyter-resource-usage#resources-displayed
    """
    found = {
        "MEM_LIMIT": min(_memory(places, root, own), default=None),
        "CPU_LIMIT": min(_cores(places, root, own), default=None),
    }
    return {name: f"{value:.12g}" for name, value in found.items() if value is not None}


def _memory(places: Places, root: str, own: str) -> Iterator[float]:
    """Yield the limits on the memory of this job, in bytes."""
    for place in places:
        mib = _number(value_of(place, "memory_mib"))
        for_each = _number(value_of(place, "memory_mib_per_core"))
        if not mib and for_each:
            mib = for_each * _number(value_of(place, "cores"))
        if mib:
            yield mib * _MIB
    # https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    for text in _texts(root, own, ("memory.max", "memory.limit_in_bytes")):
        if 0 < _number(text) < _NO_LIMIT:
            yield _number(text)
    # Grid Engine's h_vmem, among others.
    size = resource.getrlimit(resource.RLIMIT_AS)[0]
    if size != resource.RLIM_INFINITY:
        yield size


def _cores(places: Places, root: str, own: str) -> Iterator[float]:
    """Yield the limits on the cores of this job."""
    for place in places:
        cores = _number(value_of(place, "cores"))
        if cores:
            yield cores
    usable = len(os.sched_getaffinity(0))
    if usable < (os.cpu_count() or usable):
        yield usable
    # https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    for text in _texts(root, own, ("cpu.max",)):
        quota, _, period = text.partition(" ")
        if _number(quota) and _number(period):
            yield _number(quota) / _number(period)


def _texts(root: str, own: str, names: tuple[str, ...]) -> Iterator[str]:
    """Yield what is in these files of the job's control groups, and of those around them."""
    for top, path in memory_groups(root, own):
        parts = path.strip("/").split("/")
        for length in range(len(parts), -1, -1):
            for name in names:
                yield text_in(top, *parts[:length], name)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
