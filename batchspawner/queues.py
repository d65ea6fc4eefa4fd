"""What a scheduler offers: queues with their limits and free nodes, and reservations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class Queue:
    """One queue (on Slurm: partition) of a scheduler.

    A number is None if it is not known, or if there is no limit. `runtime` is the longest walltime
    in seconds. `cores`, `memory` (in bytes) and `gpus` are those of the largest node, or what one
    job may have where that is less. `free_cores`
    and `free_nodes` are what no job uses, `all_cores` and `all_nodes` what there is. A queue that
    `is_open` accepts and starts jobs; `is_default` is the one for jobs that name none.
    """

    name: str
    is_default: bool = False
    is_open: bool = True
    runtime: int | None = None
    cores: int | None = None
    memory: int | None = None
    gpus: int | None = None
    free_cores: int | None = None
    all_cores: int | None = None
    free_nodes: int | None = None
    all_nodes: int | None = None

    def merged(self, other: Queue) -> Queue:
        """Return this queue with the nodes of another line about the same queue added."""
        return replace(
            self,
            is_open=self.is_open or other.is_open,
            cores=_largest(self.cores, other.cores),
            memory=_largest(self.memory, other.memory),
            gpus=_largest(self.gpus, other.gpus),
            free_cores=_sum(self.free_cores, other.free_cores),
            all_cores=_sum(self.all_cores, other.all_cores),
            free_nodes=_sum(self.free_nodes, other.free_nodes),
            all_nodes=_sum(self.all_nodes, other.all_nodes),
        )

    def routed(self, targets: list[Queue]) -> Queue:
        """Return this queue with what the queues have that its jobs are routed to.

        Its own limits count if they are lower.
        """
        if not targets:
            return self

        def most(name: str) -> int | None:
            values = [getattr(target, name) for target in targets]
            return None if None in values else max(values)

        return replace(
            self,
            is_open=self.is_open and any(target.is_open for target in targets),
            runtime=_smallest(self.runtime, most("runtime")),
            cores=_smallest(self.cores, most("cores")),
            memory=_smallest(self.memory, most("memory")),
            gpus=_smallest(self.gpus, most("gpus")),
            free_cores=most("free_cores"),
            all_cores=most("all_cores"),
            free_nodes=most("free_nodes"),
            all_nodes=most("all_nodes"),
        )


@dataclass(frozen=True)
class Reservation:
    """One reservation, for some users and for all users of some accounts.

    `end` is in seconds since the epoch, None if it has none.
    """

    name: str
    users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    end: float | None = None

    def is_for(self, user: str, accounts: Collection[str], now: float) -> bool:
        """Return whether a user, who has these accounts, can use it at the time `now`."""
        if self.end is not None and self.end <= now:
            return False
        return user in self.users or not self.accounts.isdisjoint(accounts)


def merge_lines(lines: list[Queue]) -> list[Queue]:
    """Return one queue for all lines with its name, in the order of the first of each.

    Schedulers such as Slurm print one line for each kind of nodes of a queue.
    """
    merged: dict[str, Queue] = {}
    for line in lines:
        known = merged.get(line.name)
        merged[line.name] = line if known is None else known.merged(line)
    return list(merged.values())


def offer_nodes(queues: list[Queue], nodes: list[Queue]) -> list[Queue]:
    """Return the queues, each with the numbers of the nodes that serve it.

    `nodes` has one entry for the nodes of each queue, by its name, and one named "" for the nodes
    that serve any queue; a queue without nodes of its own gets the latter.
    """
    by_queue = {line.name: line for line in nodes}
    return [_with_nodes(queue, by_queue.get(queue.name, by_queue.get(""))) for queue in queues]


def _with_nodes(queue: Queue, nodes: Queue | None) -> Queue:
    if nodes is None:
        return queue
    return replace(
        nodes,
        name=queue.name,
        is_open=queue.is_open,
        runtime=queue.runtime,
        cores=_smallest(queue.cores, nodes.cores),
        memory=_smallest(queue.memory, nodes.memory),
        gpus=_smallest(queue.gpus, nodes.gpus),
    )


def _smallest(one: int | None, other: int | None) -> int | None:
    known = [number for number in (one, other) if number is not None]
    return min(known, default=None)


def _largest(one: int | None, other: int | None) -> int | None:
    known = [number for number in (one, other) if number is not None]
    return max(known, default=None)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
