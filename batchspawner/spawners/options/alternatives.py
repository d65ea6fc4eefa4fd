"""Other choices with which a server would start sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .amounts import Duration, Integer, Memory
from .field_kinds import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import Value
    from .queue_info import QueueInfo
    from .schema import Schema

_SHORT = "1:00:00"
"""A time that fits before many a job that waits for more nodes."""


def fits(queue_name: str, values: Mapping[str, Value], info: QueueInfo) -> bool:
    """Return whether what is chosen is free in a queue now, as far as the scheduler says."""
    queue = next((one for one in info.queues if one.name == queue_name and one.is_open), None)
    if queue is None or info.is_stale:
        return False
    memory = str(values.get("memory", ""))
    size = Memory("memory").number(memory) if memory else 0
    gpus, kind = int(values.get("ngpus") or 0), str(values.get("gpu_type", ""))
    return queue.has_free(int(values.get("nprocs") or 1), size, gpus, kind) is True


def alternatives(
    schema: Schema, values: Mapping[str, Value], info: QueueInfo
) -> list[dict[str, Value]]:
    """Return changes of a choice that may start sooner, the least first: queue, time, size."""
    fields = {field.name: field for field in schema.fields}
    found: list[dict[str, Value]] = []
    queue = fields.get("queue")
    if isinstance(queue, Choice):
        found += [
            {"queue": option.value}
            for option in queue.options
            if option.value != values.get("queue") and fits(option.value, values, info)
        ]
    time = fields.get("runtime")
    if isinstance(time, Duration):
        chosen = str(values.get("runtime", ""))
        if not chosen or time.number(chosen) > time.number(_SHORT):
            found.append({"runtime": _SHORT})
    for name in ("ngpus", "nprocs"):
        number = int(values.get(name) or 0)
        if isinstance(fields.get(name), Integer) and number > 1:
            found.append({name: str(number // 2)})
    return found
