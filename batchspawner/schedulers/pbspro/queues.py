"""Queues and nodes of PBS Pro and OpenPBS.

Manual: https://help.altair.com/2022.1.0/PBS%20Professional/PBSReferenceGuide2022.1.pdf
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ...errors import OptionsError, ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes
from ...units import memory, seconds
from .records import read_section

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ...commands import CommandResult

    Facts = Mapping[str, object]
    """Attributes of a queue or a node, by their names."""

# Each of the commands prints what the other one does not.
QUEUES = ("sh", "-c", "qstat -Q -f -F json && pbsnodes -a -F json")


_DOCUMENT = re.compile(r'\{\s*"(?:timestamp|nodes)"')

_T = TypeVar("_T")
_Q = TypeVar("_Q")


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
    routes = {
        name: str(one["route_destinations"])
        for name, one in told.items()
        if one.get("route_destinations")
    }
    hidden = {
        name
        for name, one in told.items()
        if one.get("from_route_only") == "True"
        or (one.get("queue_type") == "Route" and name not in routes)
    }
    return offer_routes(offer_nodes(queues, merged), routes, hidden)


def readable(read: Callable[[_T], _Q], records: Iterable[_T]) -> list[_Q]:
    """Return what can be read of some records: one in an unknown form costs only itself."""
    found = []
    for record in records:
        with suppress(ValueError, KeyError, TypeError, AttributeError, OptionsError):
            found.append(read(record))
    return found


def offer_routes(
    queues: list[Queue], routes: Mapping[str, str], hidden: Collection[str]
) -> list[Queue]:
    """Return the queues that a user can name: routing queues have the limits of those behind them.

    `routes` are the destinations of each routing queue, as ``one,two@server``; `hidden` are the
    queues that accept jobs only from a routing queue.
    """
    by_name = {queue.name: queue for queue in queues}

    def behind(name: str, seen: frozenset[str]) -> list[Queue]:
        found = []
        for word in routes.get(name, "").split(","):
            target = word.partition("@")[0].strip()
            if target in routes and target not in seen:
                found += behind(target, seen | {target})
            elif target in by_name:
                found.append(by_name[target])
        return found

    return [
        queue.routed(behind(queue.name, frozenset({queue.name}))) if queue.name in routes else queue
        for queue in queues
        if queue.name not in hidden
    ]


def _queue(item: tuple[str, Facts]) -> Queue:
    name, told = item
    most = _amounts(told, "resources_max")
    return limited_queue(
        name, most, is_open=told.get("enabled") == "True" and told.get("started") == "True"
    )


def limited_queue(name: str, most: Mapping[str, str], *, is_open: bool) -> Queue:
    """Return a queue with the limits of one job, by PBS's names of resources."""
    return Queue(
        name,
        is_open=is_open,
        runtime=_limit(lambda text: seconds("walltime", text), most.get("walltime")),
        cores=_limit(int, most.get("ncpus")),
        memory=_limit(lambda text: memory("mem", text), most.get("mem")),
        gpus=_limit(int, most.get("ngpus")),
    )


def _limit(read: Callable[[str], int], text: str | None) -> int | None:
    """Return a limit; None if there is none that can be read."""
    if not text:
        return None
    try:
        return read(text)
    except (ValueError, OptionsError):
        return None


def _node(told: Facts) -> Queue:
    """Return a node as a part of its queue; a node that is down has nothing free."""
    has, used = _amounts(told, "resources_available"), _amounts(told, "resources_assigned")
    cores = int(has.get("ncpus", 0))
    is_up = str(told.get("state", "")).split(",")[0] in ("free", "job-busy", "job-exclusive")
    free = cores - int(used.get("ncpus", 0)) if is_up else 0
    return Queue(
        str(told.get("queue", "")),
        cores=cores,
        memory=_limit(lambda text: memory("mem", text), has.get("mem")),
        gpus=int(has.get("ngpus", 0)),
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
