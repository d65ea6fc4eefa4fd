"""Cores that users of Slurm have in use, and their limits.

Manuals: https://slurm.schedmd.com/squeue.html and
https://slurm.schedmd.com/sacctmgr.html#SECTION_SPECIFICATIONS-FOR-QOS
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ...errors import SchedulerUnavailable

if TYPE_CHECKING:
    from ...commands import CommandResult

USAGE = ("squeue", "-h", "-a", "-t", "PENDING,RUNNING", "-o", "%i|%T|%u|%q|%C")
LIMITS = ("sacctmgr", "-nP", "show", "qos", "format=Name,MaxTRESPerUser")

_CORES = re.compile(r"(?:^|,)cpu=(\d+)")


def parse_usage(result: CommandResult) -> dict[str, tuple[str, int]]:
    """Return, for each waiting job, its QOS and how many cores of its user run in that QOS.

    Raises SchedulerUnavailable.
    """
    if not result.ok:
        raise SchedulerUnavailable("squeue failed.", result)
    running: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, tuple[str, str]] = {}
    for line in result.stdout.splitlines():
        job_id, state, user, qos, cores = (*line.split("|", 4), "", "", "", "")[:5]
        if state == "RUNNING" and cores.isdecimal():
            running[user, qos] += int(cores)
        elif state == "PENDING":
            waiting[job_id] = user, qos
    return {job_id: (qos, running[user, qos]) for job_id, (user, qos) in waiting.items()}


def parse_limits(result: CommandResult) -> dict[str, int]:
    """Return how many cores one user may have in each QOS that has such a limit.

    Without accounting there are no limits.
    """
    lines = result.stdout.splitlines() if result.ok else []
    found = {}
    for line in lines:
        name, _, limits = line.partition("|")
        cores = _CORES.search(limits)
        if cores:
            found[name] = int(cores[1])
    return found
