"""Table of the jobs of all servers of a Hub, for administrators."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import secrets
import time
from collections import OrderedDict
from datetime import timezone
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import ref

from ..hub.jupyterhub import innermost
from ..server_job import ServerJob
from .card import card_of, queue_of, state_of_ready
from .time_left import end_of_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...jobs import JobInfo
    from ..hub.jupyterhub import HubSpawner, HubUser
    from .card import StartingSpawner

_UPDATE_INTERVAL_S = 5.0
"""Time for which all who look at the table are shown the same: it is not made for each of them."""

_ROWS_AT_ONCE = 100
"""Number of rows after which the Hub does what else it has to do."""

_MAX_REMOVED = 10_000
"""Number of removed rows that are remembered; who has not looked for longer gets all rows."""

COLUMNS = (
    "user",
    "server",
    "job_id",
    "scheduler",
    "state",
    "reason",
    "queue",
    "node",
    "submitted",
    "waited_s",
    "started",
    "ends",
    "requested",
    "last_activity",
)
"""Names of the columns: `job_row` describes them."""

_WAITING = ("submitting", "submitted", "waiting", "held")
_FORMULA = re.compile(
    r"""^(?=[\t\r\n])|(?:^|(?<=[;,\t\n])|(?<=\r)(?!\n))(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])"""
)
"""Where a cell begins like a formula, also for a spreadsheet that separates cells by something
else, and with the signs of East Asian width."""


Key = tuple[str, str]
"""Names of a user and of a server."""


class Changes(NamedTuple):
    """Rows that have changed since a cursor, and the keys of those that are gone.

    `is_complete` says that the rows are all there are: what else was known is out of date.
    """

    cursor: str
    rows: list[dict[str, Any]]
    removed: list[Key]
    is_complete: bool


class JobTable:
    """Rows of all jobs of a Hub, each with the version of the table in which it last changed."""

    def __init__(self) -> None:
        # Cursors of an earlier Hub process say nothing of this table.
        self._name = secrets.token_hex(4)
        self._version = 0
        self._update: asyncio.Future[None] | None = None
        self._valid_until = 0.0
        # JupyterHub forgets servers that were stopped, and perhaps nobody looks again.
        self._rows: dict[Key, tuple[int, ref[HubSpawner], dict[str, Any]]] = {}
        self._removed: OrderedDict[Key, int] = OrderedDict()
        self._forgotten = 0

    async def update(self, users: Iterable[HubUser]) -> None:
        """Look at all servers, unless that was done just now. No scheduler is asked for it."""
        now = time.monotonic()
        if self._update is None or (self._update.done() and now >= self._valid_until):
            self._update = asyncio.ensure_future(self._look_at(list(users)))
        # Others wait for the same update when somebody's browser goes away.
        await asyncio.shield(self._update)

    async def _look_at(self, users: list[HubUser]) -> None:
        version, known, found = self._version + 1, dict(self._rows), {}
        for number, (key, outer, row) in enumerate(_rows(users), 1):
            old = known.pop(key, None)
            is_same = old is not None and old[2] == row
            found[key] = (old[0] if old and is_same else version, ref(outer), row)
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._rows, self._version = found, version
        for key in found:
            self._removed.pop(key, None)
        for key in known:
            self._removed[key] = version
        while len(self._removed) > _MAX_REMOVED:
            self._forgotten = self._removed.popitem(last=False)[1]
        self._valid_until = time.monotonic() + _UPDATE_INTERVAL_S

    def changes(self, cursor: str, may_see: Callable[[HubSpawner], bool] | None = None) -> Changes:
        """Return what has changed since a cursor; all of it if the cursor is not known.

        Who may not see all servers always gets all that `may_see` allows: names of servers that
        are gone could be those of others.
        """
        since = None if may_see else self._version_of(cursor)
        rows = [
            row
            for version, outer, row in self._rows.values()
            if version > (since or 0) and (may_see is None or _is_seen(outer(), may_see))
        ]
        gone = [] if since is None else [k for k, v in self._removed.items() if v > since]
        return Changes(f"{self._name}-{self._version}", rows, gone, since is None)

    def _version_of(self, cursor: str) -> int | None:
        """Return the version that a cursor names, None if what follows it is not known."""
        name, _, number = cursor.partition("-")
        if name != self._name or not (number.isascii() and number.isdecimal()):
            return None
        version = int(number[:18])
        return version if self._forgotten <= version <= self._version else None


def _is_seen(outer: HubSpawner | None, may_see: Callable[[HubSpawner], bool]) -> bool:
    return outer is not None and may_see(outer)


def job_row(outer: HubSpawner, spawner: StartingSpawner) -> dict[str, Any]:
    """Return what an administrator sees of a server's job, as JSON.

    Moments are seconds since the epoch, None where nothing is known: `submitted`, `started`,
    `ends` (when the job reaches its time limit) and `last_activity`. `waited_s` is the time in the
    queue of a job that runs. `state` is that of `card_of`, or ``stopping``; `reason` is why the
    job waits, in plain words if they are known; `requested` what it asks for.
    """
    job, status = spawner.job, spawner.backend.status
    told = _told(spawner, status)
    state, started = told["state"], spawner.backend.running_since
    waits = state in _WAITING
    if not started and status is not None:
        started = status.start
    activity = getattr(outer.orm_spawner, "last_activity", None)
    return {
        "user": outer.user.name,
        "server": outer.name,
        "job_id": job.id,
        "scheduler": spawner.scheduler_name,
        "state": "stopping" if outer.pending == "stop" else state,
        "reason": told["headline" if state == "other" else "reason"] if state != "ready" else "",
        "queue": queue_of(job, status),
        "node": (status.host if status else "") or job.host,
        "submitted": round(job.submitted_at) or None,
        "waited_s": None if waits else round(job.waited),
        "started": round(started) if started and not waits else None,
        "ends": told["ends"],
        "requested": dict(job.requested),
        # JupyterHub's moments are in UTC and do not say so.
        "last_activity": activity and round(activity.replace(tzinfo=timezone.utc).timestamp()),
    }


def _told(spawner: StartingSpawner, status: JobInfo | None) -> dict[str, Any]:
    """Return the part of a server's card that goes into its row."""
    if not spawner.job.port:
        return card_of(spawner)
    # Most servers run, and to describe a start takes longer than all else here.
    end = end_of_job(spawner, status)
    state, headline = state_of_ready(spawner.job.id, status)
    return {
        "state": state,
        "headline": headline,
        "ends": None if end is None else round(end),
    }


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """Return rows as CSV, with a header: https://www.rfc-editor.org/rfc/rfc4180."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        asked = " ".join(f"{name}={value}" for name, value in row["requested"].items())
        values = {**row, "requested": asked}
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return "" if value is None else _FORMULA.sub("'", str(value).replace("\0", ""))


def _rows(users: Iterable[HubUser]) -> Iterator[tuple[Key, HubSpawner, dict[str, Any]]]:
    for user in users:
        for outer in list(user.spawners.values()):
            spawner = innermost(outer)
            if outer.active and isinstance(getattr(spawner, "job", None), ServerJob):
                row = job_row(outer, cast("StartingSpawner", spawner))
                yield (row["user"], row["server"]), outer, row
