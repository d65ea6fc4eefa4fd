"""The fields of the resource form, with the limits of each queue."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from ...errors import OptionsError
from ...templating import MAIL_ADDRESS
from ...translation import gettext as _
from .field_kinds import Amount, Choice, Duration, Field, Limit, Option, Text
from .queue_info import gpu_types, job_limits, limited_fields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ...queues import GpuType, Queue
    from .base import Size
    from .queue_info import QueueInfo

F = TypeVar("F", bound=Field)

REQUESTED = (
    "partition",
    "queue",
    "account",
    "reservation",
    "mail_user",
    *(field.name for field in limited_fields()),
)
"""The traits `req_…` whose configured values are the defaults of the form."""

_AMBIGUOUS = re.compile(r"\d+(:\d+)?")
"""Amounts that mean something else on each scheduler."""

_TIMES = (
    *("30m", "1h", "2h", "4h", "8h", "12h"),
    *("1d", "2d", "4d", "7d"),
)
"""Times that the form offers, as far as a queue allows them."""


class QueueLimits(TypedDict, total=False):
    """What `queue_limits` of the configuration says about one queue."""

    label: str
    help: str
    nprocs: str | int
    memory: str | int
    ngpus: str | int
    runtime: str | int
    defaults: Mapping[str, Size]


@dataclass(frozen=True)
class ResourceForm:
    """Everything that the fields of the resource form are made from.

    `configured` holds the values of the traits in `REQUESTED`; `queue_limits` is the trait. If
    `only` is not empty, a profile offers no other queues than these.
    """

    configured: Mapping[str, str]
    queue_limits: Mapping[str, QueueLimits]
    info: QueueInfo
    only: Collection[str] = ()

    def fields(self) -> list[Field]:
        """Return all fields of the form, as the scheduler's queues allow."""
        queues = self._queues()
        account = Text(
            "account", _("Account"), _("Who pays for the job."), blank=_("your default account")
        )
        reservation = Text("reservation", _("Reservation"), blank=_("none"))
        mail = Text(
            "mail_user",
            _("E-mail address"),
            _("The scheduler writes to it when the job starts or fails."),
            advanced=True,
            blank=_("no e-mail"),
            pattern=MAIL_ADDRESS,
            pattern_help=_("write an address such as ada@example.org"),
        )
        amounts = {field.name: field for field in self._amounts(queues)}
        types = self._gpu_types(queues) if "ngpus" in amounts else ()
        return [
            self._queue_field(queues),
            *(amounts[name] for name in ("nprocs", "memory") if name in amounts),
            *types,
            *(amounts[name] for name in ("ngpus", "shards", "runtime") if name in amounts),
            self._named(account, self.info.accounts),
            self._named(reservation, self.info.reservations),
            self._with_default(mail),
        ]

    def _queues(self) -> list[Option]:
        """Return the queues on offer: the configured ones, or all that are open."""
        known = {queue.name: queue for queue in self.info.queues}
        given: Mapping[str, QueueLimits] = self.queue_limits or {
            queue.name: {} for queue in self.info.queues if queue.is_open or queue.name in self.only
        }
        return [
            self._queue(name, limits, known.get(name))
            for name, limits in given.items()
            if not self.only or name in self.only
        ]

    def _queue(self, name: str, given: QueueLimits, queue: Queue | None) -> Option:
        """Return a queue to choose; the configured limits rule over those of the scheduler."""
        limits = job_limits(queue) if queue else {}
        configured = cast("Mapping[str, Size]", given)
        for field in limited_fields():
            if field.name in configured:
                limits[field.name] = Limit(max=configured[field.name])
        for field_name, default in self._defaults(name, given, queue).items():
            limits[field_name] = replace(limits.get(field_name, Limit()), default=default)
        if "ngpus" in configured:
            # Shares are GPUs, too: a site that limits these has to allow those by name.
            limits["shards"] = Limit(max=configured.get("shards", 0))
            if str(configured["ngpus"]) == "0":
                limits["gpu_type"] = Limit(values=())
        label = _label(given.get("label", name), queue)
        return Option(name, label, given.get("help", ""), limits)

    def _defaults(self, name: str, given: QueueLimits, queue: Queue | None) -> Mapping[str, Size]:
        """Return the defaults in a queue: whoever chooses one that is all GPUs wants a GPU."""
        has_gpus = given.get("ngpus") if queue is None else queue.least_gpus
        wants_one = name and has_gpus and str(given.get("ngpus", "")) != "0"
        own: dict[str, Size] = {"ngpus": "1"} if wants_one else {}
        return {**({} if self.configured.get("ngpus") else own), **given.get("defaults", {})}

    def _queue_field(self, queues: list[Option]) -> Field:
        default = self.configured.get("partition") or self.configured.get("queue", "")
        names = [option.value for option in queues]
        label, blank = _("Queue"), _("the scheduler chooses")
        if not any(names):
            text = Text("queue", label, default=default, advanced=True, blank=blank)
            return self._with_default(text)
        native = [queue.name for queue in self.info.queues if queue.is_default]
        first = names[0] if self.queue_limits or len(names) == 1 else ""
        default = next((one for one in (default, *native, first) if one in names), "")
        # Where the scheduler itself chooses among its queues, users may leave it to that.
        required = bool(default)
        return Choice(
            "queue",
            label,
            default=default,
            choices=tuple(queues),
            required=required,
            blank=blank,
        )

    def _amounts(self, queues: list[Option]) -> Iterator[Amount]:
        """Return the fields of amounts; what every queue limits to nothing is left out."""
        for field in limited_fields():
            limits = [str(one.limits[field.name].max) for one in queues if field.name in one.limits]
            if field.name == "shards" and not any(map(int, limits)):
                continue
            highest: str | None = None
            if queues and len(limits) == len(queues):
                number, highest = max((field.number(limit), limit) for limit in limits)
                if not number:
                    continue
            made = self._with_default(_with_times(replace(field, max=highest)))
            defaults = {one.limits.get(field.name, Limit()).default for one in queues}
            if len(defaults) == 1 and (default := defaults.pop()) is not None:
                # It counts also where a profile sets the queue, so that nobody chooses one.
                made = replace(made, default=made.clamp(str(default)))
            yield made

    def _gpu_types(self, queues: list[Option]) -> Iterator[Choice]:
        """Return the choice among the types of GPUs, if the scheduler names any."""
        names = [option.value for option in queues]
        found: dict[str, list[GpuType]] = {}
        for queue in self.info.queues:
            for one in gpu_types(queue) if queue.name in names else ():
                found.setdefault(one.name, []).append(one)
        options = [
            Option(name, limits={"ngpus": Limit(1, max(one.node for one in known), default=1)})
            for name, known in found.items()
        ]
        if options:
            yield Choice("gpu_type", _("Type of GPU"), choices=tuple(options), blank=_("any type"))

    def _named(self, field: Text, known: tuple[str, ...] | None) -> Field:
        """Return a choice among the names that the scheduler knows for the user, else `field`."""
        if not known:
            return self._with_default(replace(field, advanced=True))
        return self._with_default(
            Choice(
                field.name,
                field.label,
                field.help,
                advanced=True,
                blank=field.blank,
                choices=known,
            )
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


def _with_times(field: Amount) -> Amount:
    """Return a field for a time with a list of times; another field as it is."""
    if not isinstance(field, Duration):
        return field
    _, high = field.bounds()
    times = [one for one in _TIMES if high is None or field.number(one) < high]
    if high is not None:
        times.append(field.display(high))
    return replace(field, choices=tuple(times))


def _label(text: str, queue: Queue | None) -> str:
    if queue is None or queue.free_cores is None:
        return text
    free, total = queue.free_cores, queue.all_cores
    return _("%(queue)s (%(free)s of %(total)s cores free)", queue=text, free=free, total=total)
