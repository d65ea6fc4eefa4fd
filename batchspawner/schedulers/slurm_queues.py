"""Read Slurm's partitions from sinfo: https://slurm.schedmd.com/sinfo.html"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import OptionsError, ParseError, SchedulerUnavailable
from ..queues import Queue, merge_lines
from ..units import seconds

if TYPE_CHECKING:
    from ..commands import CommandResult

# Partition, its state and time limit; of each kind of node: cores, memory in MB, GRES; and the
# numbers of cores and nodes as allocated/idle/other/total.
COMMAND = ("sinfo", "-h", "--exact", "-o", "%P|%a|%l|%c|%m|%G|%C|%F")

_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the partitions. Raises SchedulerUnavailable, or ParseError for an unknown form."""
    if not result.ok:
        raise SchedulerUnavailable("sinfo failed.", result)
    try:
        return merge_lines([_queue(line) for line in result.stdout.splitlines() if line.strip()])
    except ValueError as error:
        raise ParseError(f"sinfo printed a line of an unknown form: {error}", result) from error


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
