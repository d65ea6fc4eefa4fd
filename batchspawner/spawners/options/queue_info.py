"""Queues, accounts and reservations of a scheduler, for the forms of one user."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...client.availability import Answer, cached_answer
from ...queues import SHARD
from ...schedulers import scheduler_class, scheduler_names
from ...translation import gettext as _
from ...translation import ngettext
from ...units import say_memory
from ..backends.exec_prefix import runners_of
from ..backends.unsafe_names import prefix_words, risky
from ..failures.spawn_failure import SpawnFailure
from .amounts import Amount, Duration, Integer, Memory, format_duration
from .base import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from ...queues import GpuType, Queue, Reservation

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


def limited_fields() -> tuple[Amount, ...]:
    """Return the amounts that a queue limits, for one job on one node."""
    default = _("the default of the queue")
    return (
        Integer("nprocs", _("Cores"), min=1, blank=default),
        Memory("memory", _("Memory"), _("With its unit."), blank=default),
        Integer("ngpus", _("GPUs"), blank=_("none")),
        Integer("shards", _("Shares of a GPU"), _("Instead of whole GPUs."), blank=_("none")),
        Duration("runtime", _("Time"), _("The server ends after it."), blank=default),
    )


async def query_queue_info(scheduler_name: str, exec_prefix: str, user: str) -> QueueInfo:
    """Return what is known of a scheduler, at once or after a moment; nothing if that fails."""
    methods = ("availability", "accounts", "reservations")
    answers = await _ask(scheduler_name, exec_prefix, user, methods)
    return _queue_info(user, *answers) if answers else QueueInfo()


async def query_queues(scheduler_name: str, exec_prefix: str, user: str) -> QueueInfo:
    """Return what is known of a scheduler's queues alone, asked for as one of its users."""
    answers = await _ask(scheduler_name, exec_prefix, user, ("availability",))
    return _queue_info(user, answers[0], Answer(), Answer()) if answers else QueueInfo()


async def _ask(
    scheduler_name: str, exec_prefix: str, user: str, methods: Sequence[str]
) -> list[Answer[Any]]:
    """Return the answers to methods of a scheduler; none if nobody can ask it for this user."""
    if scheduler_name not in scheduler_names():
        return []
    scheduler = scheduler_class(scheduler_name)()
    try:
        # Not all variables: some of them settle when a server starts.
        words = prefix_words(exec_prefix, {"username": user}, risky(user))
    except (KeyError, SpawnFailure):
        return []
    if words is None:
        return []
    _, runner = runners_of(words, shared=scheduler.shared)
    answers = [cached_answer(scheduler, runner, method).get() for method in methods]
    return list(await asyncio.gather(*answers))


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
        "shards": None if queue.gpus is None else shares_of_gpus(queue),
        "runtime": queue.runtime,
    }
    known = {
        field.name: Limit(max=field.to_text(number))
        for field in limited_fields()
        if (number := limits[field.name]) is not None
    }
    return {**known, "gpu_type": Limit(values=tuple(one.name for one in gpu_types(queue)))}


def gpu_types(queue: Queue) -> list[GpuType]:
    """Return the types of whole GPUs in a queue; none if it is not known which there are."""
    return [one for one in queue.gpu_types if one.name != SHARD]


def shares_of_gpus(queue: Queue) -> int:
    """Return into how many shares the GPUs of the largest node are divided."""
    return next((one.node for one in queue.gpu_types if one.name == SHARD), 0)


def queue_table(info: QueueInfo, names: Collection[str] | None = None) -> dict[str, object] | None:
    """Return what the form shows about the queues with these names, by default about all.

    None if nothing is known.
    """
    queues = [one for one in info.queues if names is None or one.name in names]
    if info.age is None or not queues:
        return None
    note = _("As of %(time)s ago.", time=_format_age(info.age))
    if info.is_stale:
        note += " " + _("The scheduler does not answer now, so this may have changed.")
    return {
        "title": _("What is free"),
        "queues": [_queue_row(one) for one in queues],
        "note": note,
    }


def _queue_row(queue: Queue) -> dict[str, object]:
    limits = {
        name: str(limit.max) for name, limit in job_limits(queue).items() if limit.max is not None
    }
    name = queue.name or _("all")
    return {
        "name": name if queue.is_open else _("%(queue)s (closed)", queue=name),
        "cores": _free_of_total(queue.free_cores, queue.all_cores),
        "nodes": _free_of_total(queue.free_nodes, queue.all_nodes),
        "node_cores": limits.get("nprocs", ""),
        "node_memory": limits.get("memory", ""),
        "node_gpus": limits.get("ngpus", ""),
        "gpus": _free_of_total(queue.free_gpus if queue.all_gpus else None, queue.all_gpus),
        "runtime": _("no limit") if queue.runtime is None else format_duration(queue.runtime),
        "value": queue.name,
        "bars": list(_bars(queue)),
    }


def _bars(queue: Queue) -> Iterator[dict[str, object]]:
    """Yield what is free of each resource of a queue, as text and as a share that is in use."""
    amounts: list[tuple[str, int | None, int | None, Callable[[int], str]]] = [
        (_("Nodes"), queue.free_nodes, queue.all_nodes, str),
        (_("Cores"), queue.free_cores, queue.all_cores, str),
        (_("Memory"), queue.free_memory, queue.all_memory, say_memory),
    ]
    if queue.gpu_types:
        amounts += [(_gpu_label(one.name), one.free, one.all, str) for one in queue.gpu_types]
    else:
        amounts.append((_("GPUs"), queue.free_gpus, queue.all_gpus, str))
    for label, free, total, text in amounts:
        if free is not None and total:
            used = round(100 * (1 - free / total))
            yield {"label": label, "text": _free(text(free), text(total)), "used": used}
        elif free and total is None:
            yield {"label": label, "text": _("%(free)s free", free=text(free)), "used": None}


def _gpu_label(name: str) -> str:
    return _("Shares of a GPU") if name == SHARD else _("GPUs %(type)s", type=name)


def _free(free: str, total: str) -> str:
    return _("%(free)s of %(total)s free", free=free, total=total)


def _free_of_total(free: int | None, total: int | None) -> str:
    return "" if free is None else _("%(free)s of %(total)s", free=free, total=total)


def _format_age(seconds: float) -> str:
    if seconds < _SHOWN_IN_SECONDS_BELOW_S:
        return f"{seconds:.0f} s"
    return ngettext("%(number)s minute", "%(number)s minutes", round(seconds / 60))
