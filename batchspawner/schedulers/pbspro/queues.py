"""Queues and nodes of PBS Pro and OpenPBS.

Manual: https://help.altair.com/2022.1.0/PBS%20Professional/PBSReferenceGuide2022.1.pdf
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes
from ..pbs_queues import limited_queue, memory_limit, offer_routes, readable
from .records import read_section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...commands import CommandResult

    Facts = Mapping[str, object]
    """Attributes of a queue or a node, by their names."""

# Each of the commands prints what the other one does not.
QUEUES = ("sh", "-c", "qstat -Q -f -F json && pbsnodes -a -F json")

_DOCUMENT = re.compile(r'\{\s*"(?:timestamp|nodes)"')


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues, each with its own nodes, or else with the nodes that belong to no queue.

    A routing queue is offered with what the queues behind it have. Queues that take jobs only
    from a routing queue are not offered.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    if not result.ok:
        raise SchedulerUnavailable("qstat or pbsnodes failed.", result)
    try:
        told = read_section(result.stdout, "Queue")
        # The nodes are in a document of their own.
        *_, second = _DOCUMENT.finditer(result.stdout)
        nodes = read_section(result.stdout[second.start() :], "nodes")
    except (ValueError, TypeError, AttributeError) as error:
        raise ParseError(f"PBS printed no queues or nodes: {error!r}", result) from error
    queues = readable(_queue, told.items())
    merged = merge_lines(readable(_node, nodes.values()))
    if (told and not queues) or (nodes and not merged):
        raise ParseError("PBS printed queues or nodes of an unknown form.", result)
    return offer_routes(offer_nodes(queues, merged), told)


def _queue(item: tuple[str, Facts]) -> Queue:
    name, told = item
    return limited_queue(name, told, _amounts(told, "resources_max"), "ncpus")


def _node(told: Facts) -> Queue:
    """Return a node as a part of its queue; a node that is down has nothing free."""
    has, used = _amounts(told, "resources_available"), _amounts(told, "resources_assigned")
    cores = int(has.get("ncpus", 0))
    is_up = str(told.get("state", "")).split(",")[0] in ("free", "job-busy", "job-exclusive")
    free = cores - int(used.get("ncpus", 0)) if is_up else 0
    memory, gpus = memory_limit(has.get("mem")), int(has.get("ngpus", 0))
    left = None if memory is None else memory - (memory_limit(used.get("mem")) or 0)
    return Queue(
        str(told.get("queue", "")),
        cores=cores,
        memory=memory,
        gpus=gpus,
        free_memory=left if is_up or left is None else 0,
        all_memory=memory,
        free_gpus=gpus - int(used.get("ngpus", 0)) if is_up else 0,
        all_gpus=gpus,
        least_gpus=gpus,
        free_cores=free,
        all_cores=cores,
        free_nodes=int(is_up and free == cores),
        all_nodes=1,
    )


def _amounts(told: Facts, name: str) -> dict[str, str]:
    """Return amounts of resources. Raises TypeError if they are not in an object."""
    amounts = told.get(name, {})
    if not isinstance(amounts, dict):
        raise TypeError(f"{name} is {amounts!r}")
    return {str(key): str(value) for key, value in amounts.items()}
