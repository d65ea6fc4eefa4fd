"""Control groups of a job: where they are, and what their files say.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
import re

TYPE_CHECKING = False  # the module typing takes longer to load than all of this one
if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUP_ROOT = "/sys/fs/cgroup"
OWN_CGROUPS = "/proc/self/cgroup"

_JOB = re.compile(r"job[_.]?\d+|slurm|pbs_jobs|lsf|htcondor|oar")
"""What is in the name of a control group that holds a job, whichever scheduler made it."""


def memory_groups(root: str = CGROUP_ROOT, own: str = OWN_CGROUPS) -> Iterator[tuple[str, str]]:
    """Yield the control groups that count this job's memory: where they are mounted, and which."""
    for controllers, path in _groups(own):
        if controllers == "":
            yield root, path
        elif "memory" in controllers.split(","):
            yield os.path.join(root, "memory"), path


def job_group(root: str = CGROUP_ROOT, own: str = OWN_CGROUPS) -> str | None:
    """Return the folder of the control group (version 2) of the whole job, None if there is none.

    Schedulers make groups for steps and tasks below it.
    """
    for controllers, path in _groups(own):
        parts = path.strip("/").split("/") if controllers == "" else []
        for number, part in enumerate(parts, 1):
            if _JOB.search(part) and re.search(r"\d", part):
                return os.path.join(root, *parts[:number])
    return None


def text_in(*path: str) -> str:
    """Return what is in a file of a control group, empty if it cannot be read."""
    name = os.path.join(*path)
    with contextlib.suppress(OSError, ValueError), open(name, encoding="utf-8") as file:
        return file.read().strip()
    return ""


def numbers_in(*path: str) -> dict[str, int]:
    """Return the numbers in a file of a control group by their names, none if it has none."""
    with contextlib.suppress(ValueError):
        pairs = [line.split() for line in text_in(*path).splitlines()]
        return {name: int(number) for name, number in pairs}
    return {}


def _groups(own: str) -> list[tuple[str, str]]:
    """Return the groups of this process, each with its controllers; version 2 names none."""
    lines = [line.strip().split(":", 2) for line in text_in(own).splitlines()]
    return [(line[1], line[2]) for line in lines if len(line) == 3]
