"""Whether the kernel of the operating system has killed a program of this job for its memory."""

from __future__ import annotations

import contextlib
import os

CGROUP_ROOT = "/sys/fs/cgroup"


def oom_kills(root: str = CGROUP_ROOT, own: str = "/proc/self/cgroup") -> int:
    """Return how many processes of this job were killed because memory ran out.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files calls it oom_kill;
    version 1 has it in memory.oom_control.
    """
    found = 0
    with contextlib.suppress(OSError, ValueError):
        with open(own, encoding="utf-8") as file:
            groups = [line.strip().split(":", 2) for line in file]
        for _, controllers, path in groups:
            if controllers == "":
                found += _count(root, path, "memory.events")
            elif "memory" in controllers.split(","):
                found += _count(root, "memory", path, "memory.oom_control")
    return found


def _count(root: str, *parts: str) -> int:
    file = os.path.join(root, *(part.strip("/") for part in parts))
    with contextlib.suppress(OSError, ValueError), open(file, encoding="utf-8") as lines:
        words = dict(line.split() for line in lines)
        return int(words.get("oom_kill", 0))
    return 0
