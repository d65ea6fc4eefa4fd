"""Declare the fields of the resource form, with the limits of each queue."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import OptionsError
from .fields import Amount, Choice, Duration, Field, Integer, Limit, Memory, Option, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...queues import Queue
    from .queue_info import Offer

_LIMITED: tuple[Amount, ...] = (
    Integer("nprocs", "Cores", min=1),
    Memory("memory", "Memory", "With its unit."),
    Integer("ngpus", "GPUs"),
    Duration("runtime", "Time", "The server ends after it."),
)
_AMBIGUOUS = re.compile(r"\d+(:\d+)?")
"""Amounts that mean something else on each scheduler."""


def resource_fields(spawner: Any, offer: Offer) -> list[Field]:
    """Return the fields of a spawner's resource form, as its scheduler's queues allow."""
    names = spawner.resource_fields or spawner.script_names()
    queues = _queues(spawner.queue_limits, offer)
    made = [
        _queue_field(spawner, queues, offer),
        *_amounts(spawner, queues),
        _named(spawner, Text("account", "Account", "Who pays for the job."), offer.accounts),
        _named(spawner, Text("reservation", "Reservation"), offer.reservations),
    ]
    return [field for field in made if names is None or field.name in names]


def _amounts(spawner: Any, queues: list[Option]) -> Iterator[Field]:
    """Return the fields of amounts; what every queue limits to nothing is left out."""
    for field in _LIMITED:
        limits = [str(one.limits[field.name].max) for one in queues if field.name in one.limits]
        if not queues or len(limits) < len(queues):
            yield _with_default(spawner, field)
            continue
        widest = max((field.number(limit), limit) for limit in limits)
        if widest[0]:
            yield _with_default(spawner, replace(field, max=widest[1]))


def _queues(configured: Mapping[str, Mapping[str, Any]], offer: Offer) -> list[Option]:
    """Return the queues on offer: the configured ones, or all that are open."""
    known = {queue.name: queue for queue in offer.queues}
    if not configured:
        return [
            Option(queue.name, _label(queue.name, queue), limits=native_limits(queue))
            for queue in offer.queues
            if queue.is_open
        ]
    return [_configured(name, limits, known.get(name)) for name, limits in configured.items()]


def _configured(name: str, given: Mapping[str, Any], queue: Queue | None) -> Option:
    limits = native_limits(queue) if queue else {}
    for field in _LIMITED:
        if field.name in given:
            limits[field.name] = Limit(max=given[field.name])
    label = _label(given.get("label", name), queue)
    return Option(name, label, given.get("help", ""), limits)


def native_limits(queue: Queue) -> dict[str, Limit]:
    """Return the limits of one job on one node, as fields write them."""
    native = {
        "nprocs": queue.cores,
        "memory": queue.memory,
        "ngpus": queue.gpus,
        "runtime": queue.runtime,
    }
    return {
        field.name: Limit(max=field.show(number))
        for field in _LIMITED
        if (number := native[field.name]) is not None
    }


def _label(text: str, queue: Queue | None) -> str:
    if queue is None or queue.free_cores is None:
        return text
    return f"{text} ({queue.free_cores} of {queue.all_cores} cores free)"


def _queue_field(spawner: Any, queues: list[Option], offer: Offer) -> Field:
    default = str(spawner.req_partition or spawner.req_queue)
    names = [option.value for option in queues]
    if not any(names):
        return _with_default(spawner, Text("queue", "Queue", default=default, advanced=True))
    told = [queue.name for queue in offer.queues if queue.is_default]
    first = names[0] if spawner.queue_limits else ""
    default = next((one for one in (default, *told, first) if one in names), "")
    # Where the scheduler itself chooses among its queues, users may leave it to that.
    return Choice("queue", "Queue", default=default, choices=tuple(queues), required=bool(default))


def _named(spawner: Any, field: Text, known: tuple[str, ...] | None) -> Field:
    """Return a field for one of the names that the scheduler knows for the user, if it does."""
    field = replace(field, advanced=True)
    if known:
        choice = Choice(field.name, field.label, field.help, advanced=True, choices=known)
        return _with_default(spawner, choice)
    return _with_default(spawner, field)


def _with_default(spawner: Any, field: Field) -> Field:
    """Return a field with the configured value as its default, where that is unambiguous."""
    configured = str(getattr(spawner, f"req_{field.name}", ""))
    if field.kind in ("memory", "duration") and _AMBIGUOUS.fullmatch(configured):
        return field
    try:
        return replace(field, default=field.cut(configured))
    except (OptionsError, ValueError):
        return field
