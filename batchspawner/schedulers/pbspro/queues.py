"""Queues and nodes of PBS Pro and OpenPBS.

Manual: https://help.altair.com/2022.1.0/PBS%20Professional/PBSReferenceGuide2022.1.pdf
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...errors import OptionsError, ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes
from ...units import memory, seconds

if TYPE_CHECKING:
    from ...commands import CommandResult

# Each of the commands prints what the other one does not.
QUEUES = ("sh", "-c", "qstat -Q -f -F json && pbsnodes -a -F json")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues, each with its own nodes, or else with the nodes that belong to no queue.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    if not result.ok:
        raise SchedulerUnavailable("qstat or pbsnodes failed.", result)
    try:
        listed, end = json.JSONDecoder().raw_decode(result.stdout)
        nodes = json.loads(result.stdout[end:]).get("nodes", {}).values()
        queues = [_queue(name, one) for name, one in listed.get("Queue", {}).items()]
        merged = merge_lines([_node(node) for node in nodes])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParseError(f"PBS printed no queues or nodes: {error!r}", result) from error
    return offer_nodes([queue for queue in queues if queue is not None], merged)


def _queue(name: str, told: dict[str, Any]) -> Queue | None:
    if told.get("queue_type") == "Route":
        return None  # its jobs run in other queues
    limit = str(told.get("resources_max", {}).get("walltime", ""))
    is_open = told.get("enabled") == "True" and told.get("started") == "True"
    return Queue(name, is_open=is_open, runtime=seconds("walltime", limit) if limit else None)


def _node(told: dict[str, Any]) -> Queue:
    """Return a node as a part of its queue; a node that is down has nothing free."""
    has, used = told.get("resources_available", {}), told.get("resources_assigned", {})
    cores = int(has.get("ncpus", 0))
    is_up = str(told.get("state", "")).split(",")[0] in ("free", "job-busy", "job-exclusive")
    free = cores - int(used.get("ncpus", 0)) if is_up else 0
    return Queue(
        str(told.get("queue", "")),
        cores=cores,
        memory=_memory(str(has.get("mem", ""))),
        gpus=int(has.get("ngpus", 0)),
        free_cores=free,
        all_cores=cores,
        free_nodes=int(is_up and free == cores),
        all_nodes=1,
    )


def _memory(text: str) -> int | None:
    try:
        return memory("mem", text)
    except OptionsError:
        return None
