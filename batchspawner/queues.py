"""Describe what a scheduler offers: queues, their limits, what is free in them, reservations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class Queue:
    """Describe one queue. None stands for what is not known, or for no limit.

    `cores`, `memory` (bytes) and `gpus` are those of the largest node; `runtime` is in seconds.
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
        """Return this queue with the nodes of another line about it."""
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


@dataclass(frozen=True)
class Reservation:
    """Describe a reservation: whose it is, by user or by account, and until when (epoch)."""

    name: str
    users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    end: float | None = None

    def is_for(self, user: str, accounts: Collection[str], now: float) -> bool:
        """Tell whether a user can still use it."""
        if self.end is not None and self.end <= now:
            return False
        return user in self.users or not self.accounts.isdisjoint(accounts)


def merge_lines(lines: list[Queue]) -> list[Queue]:
    """Return one queue for all lines of its name, in the order of the first ones."""
    merged: dict[str, Queue] = {}
    for line in lines:
        known = merged.get(line.name)
        merged[line.name] = line if known is None else known.merged(line)
    return list(merged.values())


def offer_nodes(queues: list[Queue], nodes: list[Queue]) -> list[Queue]:
    """Return the queues with the nodes that serve them: their own, or those of no queue.

    `nodes` has the nodes of each queue as one line of its name, "" for those that serve any.
    """
    by_queue = {line.name: line for line in nodes}
    return [_with_nodes(queue, by_queue.get(queue.name, by_queue.get(""))) for queue in queues]


def _with_nodes(queue: Queue, nodes: Queue | None) -> Queue:
    if nodes is None:
        return queue
    return replace(nodes, name=queue.name, is_open=queue.is_open, runtime=queue.runtime)


def _largest(one: int | None, other: int | None) -> int | None:
    known = [number for number in (one, other) if number is not None]
    return max(known, default=None)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
