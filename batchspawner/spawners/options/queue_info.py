"""Learn what a spawner's scheduler offers, and tell it to users."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...client.availability import MAX_AGE_S, cached_answer
from ...schedulers import scheduler_class, scheduler_names
from ..backends.exec_prefix import runners_of
from ..backends.names import prefix_words, risky
from ..failures.spawn_failure import SpawnFailure
from .amounts import say_duration
from .resource_form import native_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...client.availability import Answer
    from ...queues import Queue, Reservation


@dataclass(frozen=True)
class Offer:
    """Hold what is known of a scheduler, for one user; None stands for what is not known."""

    queues: tuple[Queue, ...] = ()
    age: float | None = None
    is_stale: bool = False
    accounts: tuple[str, ...] | None = None
    reservations: tuple[str, ...] | None = None


async def look_at_offer(spawner: Any) -> Offer:
    """Return what is known, at once or after a moment; nothing where that fails."""
    if spawner.scheduler_name not in scheduler_names():
        return Offer()
    scheduler = scheduler_class(spawner.scheduler_name)()
    try:
        # Not all variables: some of them settle when a server starts.
        name = spawner.user.name
        words = prefix_words(spawner.exec_prefix, {"username": name}, risky(name))
    except (KeyError, SpawnFailure):
        return Offer()
    if words is None:
        return Offer()
    _, runner = runners_of(words, shared=scheduler.shared)
    looks = [cached_answer(scheduler, runner, method).get() for method in MAX_AGE_S]
    return _offer(spawner.user.name, *await asyncio.gather(*looks))


def _offer(
    user: str,
    queues: Answer[list[Queue]],
    accounts: Answer[Mapping[str, tuple[str, ...]]],
    reservations: Answer[list[Reservation]],
) -> Offer:
    mine = None if accounts.value is None else accounts.value.get(user)
    usable = None
    if reservations.value is not None:
        now = time.time()
        usable = tuple(one.name for one in reservations.value if one.is_for(user, mine or (), now))
    return Offer(tuple(queues.value or ()), queues.age, queues.is_stale, mine, usable)


def shown_offer(offer: Offer) -> dict[str, Any] | None:
    """Return what the form tells of the queues, None where nothing is known."""
    if offer.age is None or not offer.queues:
        return None
    note = f"As of {_ago(offer.age)} ago."
    if offer.is_stale:
        note += " The scheduler does not answer now, so this may have changed."
    return {
        "title": "What is free",
        "queues": [_shown_queue(queue) for queue in offer.queues],
        "note": note,
    }


def _shown_queue(queue: Queue) -> dict[str, str]:
    limits = {name: str(limit.max) for name, limit in native_limits(queue).items()}
    name = queue.name or "all"
    return {
        "name": name if queue.is_open else f"{name} (closed)",
        "cores": _of(queue.free_cores, queue.all_cores),
        "nodes": _of(queue.free_nodes, queue.all_nodes),
        "node_cores": limits.get("nprocs", ""),
        "node_memory": limits.get("memory", ""),
        "node_gpus": limits.get("ngpus", ""),
        "runtime": "no limit" if queue.runtime is None else say_duration(queue.runtime),
    }


def _of(free: int | None, total: int | None) -> str:
    return "" if free is None else f"{free} of {total}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
