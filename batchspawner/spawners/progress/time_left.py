"""Time that a job may still run, for the job itself and for the pages."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Protocol, cast

from ...errors import OptionsError
from ...jobs import JobState
from ...schedulers import scheduler_facts
from ...translation import gettext as _
from ...translation import ngettext
from ...units import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...jobs import JobInfo

_PAIR = re.compile(r"(\d+):(\d+)")


def runtime_seconds(scheduler: str, text: str) -> int | None:
    """Return for how many seconds a job may run that asks for this time, None if without limit."""
    text, facts = text.strip(), scheduler_facts(scheduler)
    if text.isdecimal():
        return int(text) * facts.bare_runtime_s or None
    pair = _PAIR.fullmatch(text)
    if pair:
        first = facts.paired_runtime_s
        return int(pair[1]) * first + int(pair[2]) * first // 60
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


def end_of_job(spawner: object, status: JobInfo | None) -> float | None:
    """Return when a running job reaches its time limit, None if that is not known."""
    if status is None or status.state is not JobState.RUNNING:
        return None
    limit = limit_of(cast("LimitedSpawner", spawner))
    if status.end is None and status.start is not None and limit:
        return status.start + limit
    return status.end


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
        return _("less than a minute")
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = (
        (days, ngettext("%(number)s day", "%(number)s days", days)),
        (hours, ngettext("%(number)s hour", "%(number)s hours", hours)),
        (0 if days else minutes, ngettext("%(number)s minute", "%(number)s minutes", minutes)),
    )
    return _(" and ").join(words for number, words in parts if number)
