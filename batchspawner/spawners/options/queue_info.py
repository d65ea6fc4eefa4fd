"""Queues, accounts and reservations of a scheduler, for the forms of one user."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...client.availability import MAX_AGE_S, cached_answer
from ...schedulers import scheduler_class, scheduler_names
from ..backends.exec_prefix import runners_of
from ..backends.names import prefix_words, risky
from ..failures.spawn_failure import SpawnFailure
from .amounts import Amount, Duration, Integer, Memory, format_duration
from .base import Limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...client.availability import Answer
    from ...queues import Queue, Reservation

LIMITED_FIELDS: tuple[Amount, ...] = (
    Integer("nprocs", "Cores", min=1),
    Memory("memory", "Memory", "With its unit."),
    Integer("ngpus", "GPUs"),
    Duration("runtime", "Time", "The server ends after it."),
)
"""The amounts that a queue limits, for one job on one node."""

_SHOWN_IN_SECONDS_BELOW_S = 120


@dataclass(frozen=True)
class QueueInfo:
    """Queues, and the accounts and reservations open to one user; None is for unknown.

    `age` is in seconds; `is_stale` says that the scheduler did not answer since then.
    """

    queues: tuple[Queue, ...] = ()
    age: float | None = None
    is_stale: bool = False
    accounts: tuple[str, ...] | None = None
    reservations: tuple[str, ...] | None = None


async def query_queue_info(scheduler_name: str, exec_prefix: str, user: str) -> QueueInfo:
    """Return what is known of a scheduler, at once or after a moment; nothing if that fails."""
    if scheduler_name not in scheduler_names():
        return QueueInfo()
    scheduler = scheduler_class(scheduler_name)()
    try:
        # Not all variables: some of them settle when a server starts.
        words = prefix_words(exec_prefix, {"username": user}, risky(user))
    except (KeyError, SpawnFailure):
        return QueueInfo()
    if words is None:
        return QueueInfo()
    _, runner = runners_of(words, shared=scheduler.shared)
    answers = [cached_answer(scheduler, runner, method).get() for method in MAX_AGE_S]
    return _queue_info(user, *await asyncio.gather(*answers))


def _queue_info(
    user: str,
    queues: Answer[list[Queue]],
    accounts: Answer[Mapping[str, tuple[str, ...]]],
    reservations: Answer[list[Reservation]],
) -> QueueInfo:
    mine = None if accounts.value is None else accounts.value.get(user)
    usable = None
    if reservations.value is not None:
        now = time.time()
        usable = tuple(one.name for one in reservations.value if one.is_for(user, mine or (), now))
    return QueueInfo(tuple(queues.value or ()), queues.age, queues.is_stale, mine, usable)


def job_limits(queue: Queue) -> dict[str, Limit]:
    """Return the limits of a queue for one job on one node, by field, as fields write them."""
    limits = {
        "nprocs": queue.cores,
        "memory": queue.memory,
        "ngpus": queue.gpus,
        "runtime": queue.runtime,
    }
    return {
        field.name: Limit(max=field.to_text(number))
        for field in LIMITED_FIELDS
        if (number := limits[field.name]) is not None
    }


def queue_table(info: QueueInfo) -> dict[str, object] | None:
    """Return what the form shows about the queues, None if nothing is known."""
    if info.age is None or not info.queues:
        return None
    note = f"As of {_format_age(info.age)} ago."
    if info.is_stale:
        note += " The scheduler does not answer now, so this may have changed."
    return {
        "title": "What is free",
        "queues": [_queue_row(one) for one in info.queues],
        "note": note,
    }


def _queue_row(queue: Queue) -> dict[str, str]:
    limits = {name: str(limit.max) for name, limit in job_limits(queue).items()}
    name = queue.name or "all"
    return {
        "name": name if queue.is_open else f"{name} (closed)",
        "cores": _free_of_total(queue.free_cores, queue.all_cores),
        "nodes": _free_of_total(queue.free_nodes, queue.all_nodes),
        "node_cores": limits.get("nprocs", ""),
        "node_memory": limits.get("memory", ""),
        "node_gpus": limits.get("ngpus", ""),
        "runtime": "no limit" if queue.runtime is None else format_duration(queue.runtime),
    }


def _free_of_total(free: int | None, total: int | None) -> str:
    return "" if free is None else f"{free} of {total}"


def _format_age(seconds: float) -> str:
    if seconds < _SHOWN_IN_SECONDS_BELOW_S:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes"
