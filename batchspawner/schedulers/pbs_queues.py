"""Limits and routes of the queues of PBS Pro, OpenPBS and Torque."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ..errors import OptionsError
from ..queues import Queue
from ..units import memory, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_T = TypeVar("_T")
_Q = TypeVar("_Q")


def readable(read: Callable[[_T], _Q], records: Iterable[_T]) -> list[_Q]:
    """Return what can be read of some records: one in an unknown form costs only itself."""
    found = []
    for record in records:
        with suppress(ValueError, KeyError, TypeError, AttributeError, OptionsError):
            found.append(read(record))
    return found


def offer_routes(
    queues: list[Queue], attributes: Mapping[str, Mapping[str, object]]
) -> list[Queue]:
    """Return the queues that a user can name: routing queues have the limits of those behind them.

    `attributes` are those of each queue, by its name. Queues that accept jobs only from a routing
    queue are left out, and routing queues without destinations.
    """
    by_name = {queue.name: queue for queue in queues}
    routes = {
        name: str(one["route_destinations"])
        for name, one in attributes.items()
        if one.get("route_destinations")
    }

    def behind(name: str, seen: frozenset[str]) -> list[Queue]:
        found = []
        # "one,two@server"
        for word in routes.get(name, "").split(","):
            target = word.partition("@")[0].strip()
            if target in routes and target not in seen:
                found += behind(target, seen | {target})
            elif target in by_name:
                found.append(by_name[target])
        return found

    def is_offered(name: str) -> bool:
        one = attributes[name]
        is_route = one.get("queue_type") == "Route"
        return one.get("from_route_only") != "True" and (name in routes or not is_route)

    return [
        queue.routed(behind(queue.name, frozenset({queue.name}))) if queue.name in routes else queue
        for queue in queues
        if is_offered(queue.name)
    ]


def limited_queue(
    name: str, attributes: Mapping[str, object], most: Mapping[str, str], *cores: str
) -> Queue:
    """Return a queue with the limits of one job.

    `most` are the amounts of `resources_max`, `cores` the names of those that count cores: the
    smallest counts.
    """
    limits = (_limit(int, most.get(name)) for name in cores)
    return Queue(
        name,
        is_open=attributes.get("enabled") == attributes.get("started") == "True",
        runtime=_limit(lambda text: seconds("walltime", text), most.get("walltime")),
        cores=min((limit for limit in limits if limit is not None), default=None),
        memory=memory_limit(most.get("mem")),
        gpus=_limit(int, most.get("ngpus")),
    )


def memory_limit(text: str | None) -> int | None:
    """Return the bytes of an amount such as ``1gb``; None if it cannot be read."""
    return _limit(lambda amount: memory("mem", amount), text)


def _limit(read: Callable[[str], int], text: str | None) -> int | None:
    """Return a limit; None if there is none that can be read."""
    with suppress(ValueError, OptionsError):
        return read(text) if text else None
    return None
