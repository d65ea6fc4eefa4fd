"""Learn what a spawner's scheduler offers, and tell it to users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..availability import Offer, shared_availability
from ..schedulers import scheduler_class, scheduler_names
from ..templating import format_template
from .options import say_duration
from .prefix import runners_of
from .resources import native_limits

if TYPE_CHECKING:
    from ..queues import Queue


async def look_at_queues(spawner: Any) -> Offer:
    """Return what is known of the queues, at once or after a moment; nothing where that fails."""
    if spawner.scheduler_name not in scheduler_names():
        return Offer()
    scheduler = scheduler_class(spawner.scheduler_name)()
    try:
        # Not all variables: some of them settle when a server starts.
        prefix = format_template(spawner.exec_prefix, username=spawner.user.name)
    except KeyError:
        return Offer()
    runners = runners_of(prefix, shared=scheduler.shared)
    return await shared_availability(scheduler, runners[1]).look() if runners else Offer()


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
