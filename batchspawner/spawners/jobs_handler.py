"""Handlers of the table of all jobs, at ``/hub/batchspawner/jobs`` and in the REST API."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Protocol, cast

from jupyterhub import apihandlers, handlers
from tornado import web

from ..translation import translated, translated_by
from .hub.handlers import APIHandler, BaseHandler, Scope, needs_scope
from .hub.history import history_of
from .hub.jupyterhub import JobSpawner, innermost, register_handler
from .hub.reader_language import page_catalogue
from .options.queue_info import query_queues, queue_table
from .progress.job_table import JobTable, as_csv
from .progress.start_statistics import summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .hub.jupyterhub import HubSpawner, HubUser
    from .progress.job_table import Changes

    class _AskingSpawner(JobSpawner, Protocol):
        exec_prefix: str


SCOPE = "admin:servers"
"""JupyterHub's scope for who looks after servers of others; it may be limited to groups."""

_PATH = r"/batchspawner/jobs"


class _Sees(BaseHandler):
    """Base of the handlers below: the table, limited to the rows that the caller may see."""

    @property
    def _sees_all(self) -> bool:
        return self.parsed_scopes[SCOPE] is Scope.ALL

    async def _changes(self, cursor: str = "") -> Changes:
        """Return what has changed in the table, of the servers that the scope covers."""
        table: JobTable = self.settings.setdefault("batchspawner_jobs", JobTable())
        await table.update(self.users.values())
        allowed = self.get_scope_filter(SCOPE)

        def may_see(outer: HubSpawner) -> bool:
            return allowed(outer.orm_spawner, "server")

        return table.changes(cursor, None if self._sees_all else may_see)


class JobsHandler(_Sees, APIHandler):
    """Handler of the table of jobs: JSON, or CSV with ``?format=csv``.

    The answer is ``{"jobs": [...], "removed": [[USER, SERVER], ...], "cursor": "...", "complete":
    true}``; reasons are in the language of the request, in CSV in English. With ``?cursor=`` of an
    earlier answer it has only what has changed since. It tells what the Hub knows: no scheduler is
    asked, and nothing is written.
    """

    @needs_scope(SCOPE)
    async def get(self) -> None:
        """Answer with the jobs of all servers that the scope covers."""
        if self.get_argument("format", "json") == "csv":
            self.set_header("Content-Type", "text/csv; charset=utf-8")
            self.set_header("Content-Disposition", 'attachment; filename="jobs.csv"')
            self.finish(as_csv((await self._changes()).rows))
            return
        changes = await self._changes(self.get_argument("cursor", ""))
        with translated_by(page_catalogue(self)):
            rows = translated(changes.rows)
        self.finish(
            json.dumps(
                {
                    "jobs": rows,
                    "removed": changes.removed,
                    "cursor": changes.cursor,
                    "complete": changes.is_complete,
                }
            )
        )


class StartsHandler(_Sees, APIHandler):
    """Handler of the figures of the last starts: `summary` as JSON."""

    @needs_scope(SCOPE)
    async def get(self) -> None:
        """Answer with figures of the whole Hub, which need the scope without limits."""
        if not self._sees_all:
            raise web.HTTPError(403, f"this needs the scope {SCOPE} for all users")
        self.finish(json.dumps(summary(history_of(self.db).starts)))


class QueuesHandler(_Sees, APIHandler):
    """Handler of what is free in the queues: ``{"schedulers": [...]}``.

    Each scheduler has its `scheduler` (its name) and what `queue_table` tells of it. The schedulers
    are those of the Hub's servers; each is asked as rarely as forms do.
    """

    @needs_scope(SCOPE)
    async def get(self) -> None:
        """Answer with the queues of the whole Hub, which need the scope without limits."""
        if not self._sees_all:
            raise web.HTTPError(403, f"this needs the scope {SCOPE} for all users")
        spawners = _one_of_each_scheduler(self.users.values())
        asked = [
            query_queues(one.scheduler_name, one.exec_prefix, one.user.name)
            for one in spawners.values()
        ]
        tables = zip(spawners, map(queue_table, await asyncio.gather(*asked)))
        found = [{"scheduler": name, **table} for name, table in tables if table]
        self.finish(json.dumps({"schedulers": found}))


def _one_of_each_scheduler(users: Iterable[HubUser]) -> dict[str, _AskingSpawner]:
    """Return a spawner for each scheduler of the Hub's servers, one with a server if there is."""
    found: dict[str, tuple[bool, _AskingSpawner]] = {}
    for user in users:
        for outer in list(user.spawners.values()):
            spawner = cast("_AskingSpawner", innermost(outer))
            name = getattr(spawner, "scheduler_name", "")
            if name and (name not in found or outer.active > found[name][0]):
                found[name] = (outer.active, spawner)
    return {name: found[name][1] for name in sorted(found)}


class JobsPageHandler(_Sees):
    """Handler of the page that shows the table; its script asks the handler of the table."""

    @web.authenticated
    @needs_scope(SCOPE)
    async def get(self) -> None:
        """Answer with the page, if the Hub uses the pages of this library."""
        if "batchspawner" not in self.settings["template_vars"]:
            raise web.HTTPError(404, "this page needs batchspawner.use_pages(c)")
        pictures = None
        if self._sees_all:
            states = Counter(row["state"] for row in (await self._changes()).rows)
            figures = summary(history_of(self.db).starts)
            pictures = {**figures, "states": dict(states.most_common())}
        self.finish(await self.render_template("batchspawner_jobs.html", pictures=pictures))


register_handler(apihandlers.default_handlers, rf"/api{_PATH}", JobsHandler)
register_handler(apihandlers.default_handlers, r"/api/batchspawner/starts", StartsHandler)
register_handler(apihandlers.default_handlers, r"/api/batchspawner/queues", QueuesHandler)
register_handler(handlers.default_handlers, _PATH, JobsPageHandler)
