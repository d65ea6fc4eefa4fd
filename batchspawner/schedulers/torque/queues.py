"""Queues and nodes of Torque.

Manual: http://docs.adaptivecomputing.com/torque/6-1-2/adminGuide/torque.htm
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...commands import CommandResult
from ...errors import ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes
from ..pbs_queues import limited_queue, memory_limit, offer_routes, readable
from ..xml_output import read_xml

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

# Each of the commands prints what the other one does not; -1 keeps lines whole.
QUEUES = ("sh", "-c", "qstat -Q -f -1 && pbsnodes -x")

_QUEUE = re.compile(r"^Queue: (\S+)\n((?:[ \t]+.*\n)*)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^[ \t]+([\w.]+) = (.*)$", re.MULTILINE)
_MOST = "resources_max."


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues that users can name, each with all nodes: Torque does not assign them.

    A routing queue is offered with what the queues behind it have. Queues that take jobs only
    from a routing queue are not offered.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    if not result.ok:
        raise SchedulerUnavailable("qstat or pbsnodes failed.", result)
    text, mark, document = result.stdout.partition("<Data>")
    if not mark:
        raise ParseError("pbsnodes -x printed no nodes.", result)
    told = {name: dict(_ATTRIBUTE.findall(lines)) for name, lines in _QUEUE.findall(text)}
    queues = [_queue(name, attributes) for name, attributes in told.items()]
    nodes = read_xml("pbsnodes", CommandResult(result.argv, 0, mark + document)).findall("Node")
    merged = merge_lines(readable(_node, nodes))
    if (text.strip() and not queues) or (nodes and not merged):
        raise ParseError("Torque printed queues or nodes of an unknown form.", result)
    return offer_routes(offer_nodes(queues, merged), told)


def _queue(name: str, attributes: dict[str, str]) -> Queue:
    most = {key[len(_MOST) :]: value for key, value in attributes.items() if key.startswith(_MOST)}
    # procct is how many cores a job has on all its nodes.
    return limited_queue(name, attributes, most, "ncpus", "procct")


def _node(node: ET.Element) -> Queue:
    cores = int(node.findtext("np", "0"))
    is_up = node.findtext("state", "").split(",")[0] in ("free", "job-exclusive", "busy")
    free = cores - _used(node.findtext("jobs", "")) if is_up else 0
    gpus = int(node.findtext("gpus", "0"))
    found = re.search(r"\bphysmem=(\w+)", node.findtext("status", ""))
    return Queue(
        "",
        cores=cores,
        memory=memory_limit(found[1]) if found else None,
        gpus=gpus,
        least_gpus=gpus,
        free_cores=free,
        all_cores=cores,
        free_nodes=int(is_up and free == cores),
        all_nodes=1,
    )


def _used(jobs: str) -> int:
    """Return the number of slots in ``0-1/403.head,2,5-6/404.head``."""
    used = 0
    found: list[str] = re.findall(r"([0-9,-]+)/", jobs)
    for slots in found:
        for part in filter(None, slots.split(",")):
            first, _, last = part.partition("-")
            used += int(last or first) - int(first) + 1
    return used
