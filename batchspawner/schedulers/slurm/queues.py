"""Partitions, accounts and reservations of Slurm, and the jobs that wait.

Manuals: https://slurm.schedmd.com/sinfo.html, sacctmgr.html and scontrol.html there
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ...errors import OptionsError, SchedulerUnavailable
from ...queues import Queue, Reservation, merge_lines
from ...units import seconds
from ..broken_records import read_each

if TYPE_CHECKING:
    from ...commands import CommandResult

# Partition, its state and time limit; of each kind of node: cores, memory in MB, GRES; and the
# numbers of cores and nodes as allocated/idle/other/total.
QUEUES = ("sinfo", "-h", "--exact", "-o", "%P|%a|%l|%c|%m|%G|%C|%F")
ACCOUNTS = ("sacctmgr", "-nP", "show", "associations", "format=User,Account")
RESERVATIONS = ("scontrol", "-o", "show", "reservations")
# By priority, highest first, and then by age.
WAITING = ("squeue", "-h", "-a", "-t", "PENDING", "-S", "-p,i", "-o", "%i|%P|%r")

_NOT_IN_LINE = re.compile("held|^Dependency|^BeginTime|^JobArrayTaskLimit", re.IGNORECASE)
_NO_ACCOUNTING = re.compile("not running a supported accounting_storage", re.IGNORECASE)
_FIELD = re.compile(r"(ReservationName|EndTime|Users|Accounts)=(\S*)")

_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the partitions. Raises SchedulerUnavailable, or ParseError for an unknown form."""
    if not result.ok:
        raise SchedulerUnavailable("sinfo failed.", result)
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    return merge_lines(
        read_each("sinfo", "printed a line of an unknown form:", result, lines, _queue)
    )


def _queue(line: str) -> Queue:
    name, state, limit, cores, memory, gres, core_counts, node_counts = line.split("|")
    _, free_cores, _, all_cores = map(int, core_counts.split("/"))
    _, free_nodes, _, all_nodes = map(int, node_counts.split("/"))
    return Queue(
        name=name.rstrip("*"),
        is_default=name.endswith("*"),
        is_open=state == "up",
        runtime=_time_limit(limit),
        cores=int(cores.rstrip("+")),
        memory=int(memory.rstrip("+")) * 2**20,
        gpus=sum(map(int, _GPUS.findall(gres))),
        free_cores=free_cores,
        all_cores=all_cores,
        free_nodes=free_nodes,
        all_nodes=all_nodes,
    )


def _time_limit(text: str) -> int | None:
    try:
        return seconds("timelimit", text)
    except OptionsError:
        return None  # infinite, n/a


def parse_accounts(result: CommandResult) -> dict[str, tuple[str, ...]]:
    """Return the accounts of each user, if there is accounting. Raises SchedulerUnavailable."""
    if _NO_ACCOUNTING.search(result.text):
        return {}
    if not result.ok:
        raise SchedulerUnavailable("sacctmgr failed.", result)
    found: dict[str, dict[str, None]] = {}
    for line in result.stdout.splitlines():
        user, _, account = line.partition("|")
        if user and account:
            found.setdefault(user, {})[account] = None
    return {user: tuple(accounts) for user, accounts in found.items()}


def parse_reservations(result: CommandResult) -> list[Reservation]:
    """Return the reservations. Raises SchedulerUnavailable."""
    if not result.ok:
        raise SchedulerUnavailable("scontrol failed.", result)
    found = []
    for line in result.stdout.splitlines():
        told = dict(_FIELD.findall(line))
        if "ReservationName" in told:
            end = told.get("EndTime", "")
            found.append(
                Reservation(
                    told["ReservationName"],
                    _names(told.get("Users", "")),
                    _names(told.get("Accounts", "")),
                    float(end) if end.isdecimal() else None,
                )
            )
    return found


def _names(text: str) -> frozenset[str]:
    # A list of those who may not use it, "-bob", allows nobody by name.
    names = [] if text == "(null)" else text.split(",")
    return frozenset(name for name in names if name and not name.startswith("-"))


def parse_waiting(result: CommandResult) -> dict[str, int]:
    """Return how many jobs wait before each one in its partition. Raises SchedulerUnavailable."""
    if not result.ok:
        raise SchedulerUnavailable("squeue failed.", result)
    before: Counter[str] = Counter()
    found = {}
    for line in result.stdout.splitlines():
        job_id, partition, reason = (*line.split("|", 2), "", "")[:3]
        if not partition or _NOT_IN_LINE.search(reason):
            continue
        found[job_id] = before[partition]
        before[partition] += 1
    return found
