"""Queues and nodes of Torque.

Manual: http://docs.adaptivecomputing.com/torque/6-1-2/adminGuide/torque.htm
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...commands import CommandResult
from ...errors import OptionsError, ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes
from ...units import memory
from ..xml_output import read_xml

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

# Each of the commands prints what the other one does not.
QUEUES = ("sh", "-c", "qstat -Q && pbsnodes -x")

_QUEUE = re.compile(
    r"^(\S+)\s+\d+\s+\d+\s+(yes|no)\s+(yes|no)\s+(?:\d+\s+)+([ER])\S*", re.MULTILINE
)


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues that run jobs, each with all nodes: Torque does not assign them to queues.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    if not result.ok:
        raise SchedulerUnavailable("qstat or pbsnodes failed.", result)
    table, mark, document = result.stdout.partition("<Data>")
    if not mark:
        raise ParseError("pbsnodes -x printed no nodes.", result)
    queues = [
        Queue(name, is_open=enabled == started == "yes")
        for name, enabled, started, kind in _QUEUE.findall(table)
        if kind == "E"
    ]
    nodes = read_xml("pbsnodes", CommandResult(result.argv, 0, mark + document)).findall("Node")
    try:
        return offer_nodes(queues, merge_lines([_node(node) for node in nodes]))
    except ValueError as error:
        raise ParseError(f"pbsnodes printed an unknown form: {error}", result) from error


def _node(node: ET.Element) -> Queue:
    cores = int(node.findtext("np", "0"))
    is_up = node.findtext("state", "").split(",")[0] in ("free", "job-exclusive", "busy")
    free = cores - _used(node.findtext("jobs", "")) if is_up else 0
    found = re.search(r"\bphysmem=(\w+)", node.findtext("status", ""))
    return Queue(
        "",
        cores=cores,
        memory=_memory(found[1]) if found else None,
        gpus=int(node.findtext("gpus", "0")),
        free_cores=free,
        all_cores=cores,
        free_nodes=int(is_up and free == cores),
        all_nodes=1,
    )


def _used(jobs: str) -> int:
    """Return the number of slots in ``0-1/403.head,2,5-6/404.head``."""
    used = 0
    for slots in re.findall(r"([0-9,-]+)/", jobs):
        for part in filter(None, slots.split(",")):
            first, _, last = part.partition("-")
            used += int(last or first) - int(first) + 1
    return used


def _memory(text: str) -> int | None:
    try:
        return memory("mem", text)
    except OptionsError:
        return None
