"""What a scheduler offers: queues with their limits and free nodes, and reservations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import add
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_COUNTS = tuple(
    f"{which}_{what}" for what in ("cores", "nodes", "memory", "gpus") for which in ("free", "all")
)
"""The fields of a `Queue` that are summed over its nodes."""


SHARD = "shard"
"""Type of GPU that is a share of one: https://slurm.schedmd.com/gres.html#Sharding"""


@dataclass(frozen=True)
class GpuType:
    """GPUs of one type: how many the largest node has, and how many of `all` no job uses."""

    name: str
    node: int
    free: int
    all: int


@dataclass(frozen=True)
class Queue:
    """One queue (on Slurm: partition) of a scheduler.

    A number is None if it is not known, or if there is no limit. `runtime` is the longest walltime
    in seconds. `cores`, `memory` (in bytes) and `gpus` are those of the largest node, or what one
    job may have where that is less; `least_gpus` are those of the node with the fewest.
    `free_cores`, `free_nodes`, `free_memory` (in bytes) and `free_gpus` are what no job uses,
    `all_cores` and so on what there is. `gpu_types` are known on some schedulers only. A queue that
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
    free_memory: int | None = None
    all_memory: int | None = None
    free_gpus: int | None = None
    all_gpus: int | None = None
    least_gpus: int | None = None
    gpu_types: tuple[GpuType, ...] = ()

    def has_free(
        self, cores: int = 1, memory: int = 0, gpus: int = 0, gpu_type: str = ""
    ) -> bool | None:
        """Return whether so much is free now; None if the scheduler does not say that.

        `memory` is in bytes. A type of GPU asks for one of them at least.
        """
        free_gpus = self.free_gpus
        for one in self.gpu_types:
            if one.name == gpu_type:
                gpus, free_gpus = max(1, gpus), one.free
        needs = ((self.free_cores, cores), (self.free_memory, memory), (free_gpus, gpus))
        known = [free is None or free >= need for free, need in needs if need]
        if not all(known):
            return False
        return None if any(free is None for free, need in needs if need) else True

    def merged(self, other: Queue) -> Queue:
        """Return this queue with the nodes of another line about the same queue added."""
        counts: dict[str, Any] = {
            name: _both(add, getattr(self, name), getattr(other, name)) for name in _COUNTS
        }
        return replace(
            self,
            is_open=self.is_open or other.is_open,
            cores=_largest(self.cores, other.cores),
            memory=_largest(self.memory, other.memory),
            gpus=_largest(self.gpus, other.gpus),
            least_gpus=_both(min, self.least_gpus, other.least_gpus),
            gpu_types=_merged_types((*self.gpu_types, *other.gpu_types)),
            **counts,
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

        counts: dict[str, Any] = {name: most(name) for name in _COUNTS}
        return replace(
            self,
            is_open=self.is_open and any(target.is_open for target in targets),
            runtime=_smallest(self.runtime, most("runtime")),
            cores=_smallest(self.cores, most("cores")),
            memory=_smallest(self.memory, most("memory")),
            gpus=_smallest(self.gpus, most("gpus")),
            **counts,
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


def _both(made: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else made(one, other)


def _merged_types(listed: Iterable[GpuType]) -> tuple[GpuType, ...]:
    """Return one entry for each type, in the order of the first of each."""
    merged: dict[str, GpuType] = {}
    for one in listed:
        known = merged.get(one.name, GpuType(one.name, 0, 0, 0))
        merged[one.name] = GpuType(
            one.name, max(known.node, one.node), known.free + one.free, known.all + one.all
        )
    return tuple(merged.values())
