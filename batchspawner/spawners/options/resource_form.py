"""The fields of the resource form, with the limits of each queue."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from ...errors import OptionsError
from .fields import Amount, Choice, Field, Limit, Option, Text
from .queue_info import LIMITED_FIELDS, job_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...queues import Queue
    from .base import Size
    from .queue_info import QueueInfo

F = TypeVar("F", bound=Field)

REQUESTED = (
    "partition",
    "queue",
    "account",
    "reservation",
    *(field.name for field in LIMITED_FIELDS),
)
"""The traits `req_…` whose configured values are the defaults of the form."""

_AMBIGUOUS = re.compile(r"\d+(:\d+)?")
"""Amounts that mean something else on each scheduler."""


class QueueLimits(TypedDict, total=False):
    """What `queue_limits` of the configuration says about one queue."""

    label: str
    help: str
    nprocs: str | int
    memory: str | int
    ngpus: str | int
    runtime: str | int


@dataclass(frozen=True)
class ResourceForm:
    """Everything that the fields of the resource form are made from.

    `configured` holds the values of the traits in `REQUESTED`; `queue_limits` is the trait.
    """

    configured: Mapping[str, str]
    queue_limits: Mapping[str, QueueLimits]
    info: QueueInfo

    def fields(self) -> list[Field]:
        """Return all fields of the form, as the scheduler's queues allow."""
        queues = self._queues()
        account = Text("account", "Account", "Who pays for the job.")
        return [
            self._queue_field(queues),
            *self._amounts(queues),
            self._named(account, self.info.accounts),
            self._named(Text("reservation", "Reservation"), self.info.reservations),
        ]

    def _queues(self) -> list[Option]:
        """Return the queues on offer: the configured ones, or all that are open."""
        known = {queue.name: queue for queue in self.info.queues}
        if self.queue_limits:
            return [
                _configured(name, one, known.get(name)) for name, one in self.queue_limits.items()
            ]
        return [
            Option(queue.name, _label(queue.name, queue), limits=job_limits(queue))
            for queue in self.info.queues
            if queue.is_open
        ]

    def _queue_field(self, queues: list[Option]) -> Field:
        default = self.configured.get("partition") or self.configured.get("queue", "")
        names = [option.value for option in queues]
        if not any(names):
            return self._with_default(Text("queue", "Queue", default=default, advanced=True))
        native = [queue.name for queue in self.info.queues if queue.is_default]
        first = names[0] if self.queue_limits else ""
        default = next((one for one in (default, *native, first) if one in names), "")
        # Where the scheduler itself chooses among its queues, users may leave it to that.
        required = bool(default)
        return Choice("queue", "Queue", default=default, choices=tuple(queues), required=required)

    def _amounts(self, queues: list[Option]) -> Iterator[Amount]:
        """Return the fields of amounts; what every queue limits to nothing is left out."""
        for field in LIMITED_FIELDS:
            limits = [str(one.limits[field.name].max) for one in queues if field.name in one.limits]
            if not queues or len(limits) < len(queues):
                yield self._with_default(field)
                continue
            number, widest = max((field.number(limit), limit) for limit in limits)
            if number:
                yield self._with_default(replace(field, max=widest))

    def _named(self, field: Text, known: tuple[str, ...] | None) -> Field:
        """Return a choice among the names that the scheduler knows for the user, else `field`."""
        if not known:
            return self._with_default(replace(field, advanced=True))
        return self._with_default(
            Choice(field.name, field.label, field.help, advanced=True, choices=known)
        )

    def _with_default(self, field: F) -> F:
        """Return a field with the configured value as its default, if that is unambiguous."""
        configured = self.configured.get(field.name, "")
        if field.kind in ("memory", "duration") and _AMBIGUOUS.fullmatch(configured):
            return field
        try:
            return replace(field, default=field.clamp(configured))
        except (OptionsError, ValueError):
            return field


def _configured(name: str, given: QueueLimits, queue: Queue | None) -> Option:
    limits = job_limits(queue) if queue else {}
    configured = cast("Mapping[str, Size]", given)
    for field in LIMITED_FIELDS:
        if field.name in configured:
            limits[field.name] = Limit(max=configured[field.name])
    label = _label(given.get("label", name), queue)
    return Option(name, label, given.get("help", ""), limits)


def _label(text: str, queue: Queue | None) -> str:
    if queue is None or queue.free_cores is None:
        return text
    return f"{text} ({queue.free_cores} of {queue.all_cores} cores free)"
