"""Time that a job may still run, for the job itself and for the pages."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Protocol

from ...errors import OptionsError
from ...units import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a bare number, and the first of two parts, are to a scheduler, in seconds; of the others,
# a number is seconds, and two parts are minutes and seconds.
_BARE: Mapping[str, int] = {"slurm": 60, "local": 60, "lsf": 60, "oar": 3600}
_FIRST: Mapping[str, int] = {"lsf": 3600, "oar": 3600}
_TWO = re.compile(r"(\d+):(\d+)")


def runtime_seconds(scheduler: str, text: str) -> int | None:
    """Return for how long a job may run that asks for this time, None where there is no limit."""
    text = text.strip()
    if text.isdecimal():
        return int(text) * _BARE.get(scheduler, 1) or None
    two = _TWO.fullmatch(text)
    if two:
        first = _FIRST.get(scheduler, 60)
        return int(two[1]) * first + int(two[2]) * first // 60
    try:
        return seconds("runtime", text) or None
    except OptionsError:
        return None


class LimitedSpawner(Protocol):
    """Spawner whose jobs have a time limit."""

    req_runtime: str
    scheduler_name: str

    @property
    def chosen(self) -> Mapping[str, object] | None: ...

    def chosen_variables(self) -> Mapping[str, object]: ...


def limit_of(spawner: LimitedSpawner) -> int | None:
    """Return for how many seconds the server's job may run, None where there is no limit."""
    chosen = spawner.chosen_variables().get("runtime") if spawner.chosen is not None else None
    return runtime_seconds(spawner.scheduler_name, str(chosen or spawner.req_runtime))


def time_variables(spawner: LimitedSpawner) -> dict[str, str]:
    """Return the variable that tells a job its limit, in minutes.

    The extension jupyterlab-server-timer reads it, beside JOB_START_TIME, which
    batchspawner-singleuser sets.
    """
    limit = limit_of(spawner)
    return {"JOB_RUN_TIME": str(max(1, round(limit / 60)))} if limit else {}


def say_left(end: float) -> str:
    """Return in words how long it is until a moment, rounded down."""
    minutes = max(0, int((end - time.time()) // 60))
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "day"), (hours, "hour"), (0 if days else minutes, "minute"))
    said = [f"{number} {word}{'s' if number != 1 else ''}" for number, word in parts if number]
    return " and ".join(said) if len(said) < 3 else ", ".join(said)
