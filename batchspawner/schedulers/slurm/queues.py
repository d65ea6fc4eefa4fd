"""Partitions, accounts and reservations of Slurm, and the jobs that wait.

Manuals: https://slurm.schedmd.com/sinfo.html, sacctmgr.html and scontrol.html there
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ...errors import OptionsError, SchedulerUnavailable
from ...queues import SHARD, GpuType, Queue, Reservation, merge_lines
from ...units import seconds
from ..broken_records import read_each

if TYPE_CHECKING:
    from ...commands import CommandResult

# Partition, its state and time limit; of each kind of node: cores, memory in MB, GRES; and the
# numbers of cores and nodes as allocated/idle/other/total. Nodes in other states, or with other
# amounts of memory and GRES in use, have a line of their own. A width of nothing is no limit.
_FIELDS = (
    *("Partition", "Available", "Time", "CPUs", "Memory", "Gres", "CPUsState", "NodeAIOT"),
    *("AllocMem", "GresUsed", "StateLong"),
)
QUEUES = ("sinfo", "-h", "--exact", "-O", ",".join(f"{name}:|" for name in _FIELDS))
ACCOUNTS = ("sacctmgr", "-nP", "show", "associations", "format=User,Account")
RESERVATIONS = ("scontrol", "-o", "show", "reservations")
# By priority, highest first, and then by age.
WAITING = ("squeue", "-h", "-a", "-t", "PENDING", "-S", "-p,i", "-o", "%i|%P|%r")

_NOT_IN_LINE = re.compile("held|^Dependency|^BeginTime|^JobArrayTaskLimit", re.IGNORECASE)
_NO_ACCOUNTING = re.compile("not running a supported accounting_storage", re.IGNORECASE)
_FIELD = re.compile(r"(ReservationName|EndTime|Users|Accounts)=(\S*)")

# "gpu:2", "gpu:a100:4(S:0-1)", "shard:a100:16(0/16,0/16)", "gpu:a100_1g.5gb:1(IDX:4,6)"
_GRES = re.compile(r"(?:^|,)(gpu|shard)(?::([^:,()]+))?:(\d+)(?=[,(]|$)")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the partitions. Raises SchedulerUnavailable, or ParseError for an unknown form."""
    if not result.ok:
        raise SchedulerUnavailable("sinfo failed.", result)
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    return merge_lines(
        read_each("sinfo", "printed a line of an unknown form:", result, lines, _queue)
    )


def _queue(line: str) -> Queue:
    told = dict(zip(_FIELDS, line.split("|")))
    _, free_cores, _, all_cores = map(int, told["CPUsState"].split("/"))
    busy, idle, _, nodes = map(int, told["NodeAIOT"].split("/"))
    memory = int(told["Memory"].rstrip("+")) * 2**20
    has, used = _gres(told["Gres"]), _gres(told["GresUsed"])
    # Nothing is free on nodes that are down or drained.
    up = busy + idle
    types = tuple(
        GpuType(name, count, up * max(0, count - used.get(name, 0)), nodes * count)
        for name, count in has.items()
        if name
    )
    gpus = sum(count for name, count in has.items() if name != SHARD)
    gpus_used = sum(count for name, count in used.items() if name != SHARD)
    return Queue(
        name=told["Partition"].rstrip("*"),
        is_default=told["Partition"].endswith("*"),
        is_open=told["Available"] == "up",
        runtime=_time_limit(told["Time"]),
        cores=int(told["CPUs"].rstrip("+")),
        memory=memory,
        gpus=gpus,
        free_cores=free_cores,
        all_cores=all_cores,
        free_nodes=idle,
        all_nodes=nodes,
        free_memory=up * max(0, memory - _megabytes(told["AllocMem"])),
        all_memory=nodes * memory,
        free_gpus=up * max(0, gpus - gpus_used),
        all_gpus=nodes * gpus,
        least_gpus=gpus,
        gpu_types=types,
    )


def _gres(text: str) -> dict[str, int]:
    """Return how many GPUs of each type are in a list of GRES; those without a type are ""."""
    found: Counter[str] = Counter()
    for kind, name, count in _GRES.findall(text):
        found[SHARD if kind == SHARD else name] += int(count)
    return found


def _megabytes(text: str) -> int:
    """Return the bytes of a number of megabytes; 0 for nodes that do not report it, "N/A"."""
    return int(text) * 2**20 if text.isdecimal() else 0


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
