"""Whether the kernel of the operating system has killed a program of this job for its memory."""

from __future__ import annotations

from .cgroups import CGROUP_ROOT, OWN_CGROUPS, memory_groups, numbers_in


def oom_kills(root: str = CGROUP_ROOT, own: str = OWN_CGROUPS) -> int:
    """Return how many processes of this job were killed because memory ran out.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files calls it oom_kill;
    version 1 has it in memory.oom_control.
    """
    return sum(
        numbers_in(top, path.strip("/"), name).get("oom_kill", 0)
        for top, path in memory_groups(root, own)
        for name in ("memory.events", "memory.oom_control")
    )
