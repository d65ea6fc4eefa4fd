"""Handlers of a user's own servers: their cards, and the ends of their logs, as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast
from weakref import WeakKeyDictionary

from jupyterhub.apihandlers import default_handlers
from tornado import web

from ..concurrency import in_background
from .hub.handlers import APIHandler, needs_scope
from .hub.jupyterhub import JobSpawner, innermost, register_handler, server_of_user
from .progress.pages import home
from .server_job import ServerJob

if TYPE_CHECKING:

    class _LoggingBackend(Protocol):
        async def log_tail(self) -> str: ...

    class _LoggingSpawner(JobSpawner, Protocol):
        @property
        def backend(self) -> _LoggingBackend: ...


_SERVERS_PATH = r"/api/batchspawner/servers/([^/]+)"
_LOG_PATH = r"/api/batchspawner/log/([^/]+)"

_LOG_AGE_S = 2.0
"""How old an answer about a log may become: to read one can take a command as its owner."""


class _Reading(NamedTuple):
    """One reading of the log of a job, for all who ask for it; times are those of the loop."""

    job_id: str
    begun: float
    tail: asyncio.Future[str]


_readings: WeakKeyDictionary[_LoggingSpawner, _Reading] = WeakKeyDictionary()


class ServersHandler(APIHandler):
    """Handler of the cards of a user's servers, and of how the last ones ended: `home` as JSON.

    It tells what the Hub knows: no scheduler is asked, and nothing is written.
    """

    @needs_scope("read:servers")
    async def get(self, user_name: str) -> None:
        """Answer with the servers of a user."""
        user = self.find_user(user_name)
        if user is None:
            raise web.HTTPError(404, "there is no such server")
        self.finish(json.dumps(home(user)))


class LogHandler(APIHandler):
    """Handler of the end of the log of a server's job: ``{"path": PATH, "tail": LINES}``.

    Secrets are hidden in it. Both are empty if the Hub knows no log. As it may show what the server
    works on, it needs the scope by which one uses the server.
    """

    @needs_scope("access:servers")
    async def get(self, user_name: str, server_name: str = "") -> None:
        """Answer with the last lines of the log."""
        user = self.find_user(user_name)
        outer = None if user is None else server_of_user(user, server_name)
        spawner = None if outer is None or not outer.active else innermost(outer)
        if not isinstance(getattr(spawner, "job", None), ServerJob):
            raise web.HTTPError(404, "there is no such server")
        ours = cast("_LoggingSpawner", spawner)
        answer = {"path": ours.job.log_path, "tail": await _log_tail(ours)}
        self.finish(json.dumps(answer))


async def _log_tail(spawner: _LoggingSpawner) -> str:
    """Return the last lines of a server's log, read at most once in `_LOG_AGE_S`."""
    now, known = asyncio.get_running_loop().time(), _readings.get(spawner)
    if (
        known is None
        or known.job_id != spawner.job.id
        or (known.tail.done() and now - known.begun >= _LOG_AGE_S)
    ):
        known = _Reading(spawner.job.id, now, in_background(spawner.backend.log_tail()))
        _readings[spawner] = known
    # Who does not wait for the answer any more leaves it to the others.
    return await asyncio.shield(known.tail)


register_handler(default_handlers, _SERVERS_PATH, ServersHandler)
register_handler(default_handlers, _LOG_PATH, LogHandler)
register_handler(default_handlers, rf"{_LOG_PATH}/([^/]+)", LogHandler)
