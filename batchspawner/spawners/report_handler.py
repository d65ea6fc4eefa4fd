"""The handler by which a job reports where its server listens: ``POST /hub/api/batchspawner``."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from weakref import WeakValueDictionary

from jupyterhub import orm
from jupyterhub.apihandlers import default_handlers
from tornado import web

from .hub.handlers import ReportHandler
from .hub.jupyterhub import hub_spawner, innermost, log_name, register_handler
from .secrets.claim import Application, server_of
from .secrets.exchange import ClaimRefused, exchange, promote
from .secrets.package import TOKEN
from .server_job import ServerJob

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from tornado.httputil import HTTPServerRequest

    from .hub.jupyterhub import HubSpawner
    from .secrets.exchange import ClaimingSpawner

    class _Row(Protocol):
        """Row of a spawner in the Hub's database."""

        name: str
        server: object
        user: object


_PATH = r"/api/batchspawner"
_MAX_BODY_BYTES = 10_000
_CLAIMANT = re.compile(r"[A-Za-z0-9_-]{16,128}")
_CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-[0-9]{1,18}")
_JOB_ID = re.compile(r"[\x21-\x7e]{0,200}")


@dataclass(frozen=True)
class Report:
    """Checked body of a report; nothing else in the body is looked at."""

    port: int
    host: str = ""
    claimant: str = ""
    following: str = ""
    job_id: str = ""
    confirms: bool = False
    listening: bool = False


class BatchSpawnerAPIHandler(ReportHandler):
    """Handler of the report of a job, which carries the token or the claim code of its server.

    The body is ``{"port": 1..65535}``, and ``"host"`` where the spawner allows that. With a claim
    code there is also ``"claim"``, a random word of the process that asks, ``"job_id"``, and
    ``"next"``, the code for the job's next run; the answer then is ``{"environment": {...}}``.
    ``"confirms": true`` promises a second report with ``"listening": true``, once the server has
    opened the port. Anything else is ignored: a job sets nothing but its own server's address.
    """

    async def post(self) -> None:
        """Record a server's port, and answer as all releases have."""
        code, report = self.get_auth_token() or "", _checked(self.request.body)
        confirming = _confirming.get(_digest(code)) if report.listening else None
        # It has no token any more when it was stopped.
        if confirming is not None and hub_spawner(confirming).api_token == code:
            await confirming.receive_confirmation(report.port)
            self._done(confirming, report)
            return
        # With an older wrapper the code is the token; it may still be claimed with.
        is_token = not report.claimant and self.get_token() is not None
        claimed = None if is_token else self._server_of_code(code)
        if claimed is not None:
            await self._claim(claimed, code, report)
            return
        spawner = self._server_of_token()
        ours = _with_job(spawner)
        if report.listening:
            if ours is not None:
                await ours.receive_confirmation(report.port)
        elif ours is not None:
            await ours.receive_report(report.port, report.host, confirms=report.confirms)
        else:
            # A spawner of another package that uses our wrapper.
            spawner.port = report.port
        self._done(spawner, report)

    async def _claim(self, spawner: ClaimingSpawner, code: str, report: Report) -> None:
        """Exchange a code for the secrets of its server."""
        application = Application(
            code,
            report.port,
            report.host,
            report.claimant,
            report.following,
            report.job_id,
            _peer(self.request),
            report.confirms,
        )
        environment = None
        try:
            if report.claimant:
                environment = await exchange(spawner, application)
                _confirming[_digest(environment[TOKEN])] = spawner
            else:
                await promote(spawner, application)
        except ClaimRefused as refusal:
            self.log.warning("%s: claim refused: %s", spawner.log_name, refusal)
            raise web.HTTPError(refusal.status, str(refusal)) from None
        self._done(spawner, report, environment)

    def _done(
        self, spawner: HubSpawner, report: Report, environment: Mapping[str, str] | None = None
    ) -> None:
        verb = "listens on" if report.listening else "reports"
        self.log.info("%s %s port %s", log_name(spawner), verb, report.port)
        answer: dict[str, object] = {"message": "BatchSpawner data configured"}
        if environment is not None:
            answer["environment"] = environment
        self.set_status(201)
        self.finish(json.dumps(answer))

    def _server_of_token(self) -> HubSpawner:
        """Return the spawner of the server whose own token came with the request."""
        token = self.get_token()
        if token is None or token.user is None:
            raise web.HTTPError(403, "this needs the API token of a user's server")
        user = self.users[token.user]
        for name in list(user.spawners):
            spawner = user.spawners[name]
            scope = f"access:servers!server={user.name}/{name}"
            if scope in token.scopes or spawner.api_token == self.get_auth_token():
                return innermost(spawner)
        raise web.HTTPError(403, "this token belongs to no server that is starting or running")

    def _server_of_code(self, code: str) -> ClaimingSpawner | None:
        """Return the spawner that a claim code names, None for what is no code."""
        number = server_of(code)
        if number is None:
            return None
        row: _Row | None = self.db.get(orm.Spawner, number)
        if row is None or row.server is None:
            raise web.HTTPError(403, "this code belongs to no server that is starting or running")
        spawner = _with_job(innermost(self.users[row.user].spawners[row.name]))
        if spawner is None:
            raise web.HTTPError(403, "this code belongs to no server that has codes")
        return spawner


_confirming: WeakValueDictionary[bytes, ClaimingSpawner] = WeakValueDictionary()
"""Servers to which this process has given their token, by its digest.

The confirmation follows at once. It says nothing but that a port is open, so the database is not
asked again whose token it is.
"""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _with_job(spawner: HubSpawner) -> ClaimingSpawner | None:
    """Return the spawner if it is one of this library, None for one of another package."""
    ours = isinstance(getattr(spawner, "job", None), ServerJob)
    return cast("ClaimingSpawner", spawner) if ours else None


def _peer(request: HTTPServerRequest) -> str:
    """Return from which address a request comes, whatever its headers say.

    JupyterHub has tornado believe `X-Forwarded-For`, which anybody can send.
    """
    context = getattr(request.connection, "context", None)
    address: object = getattr(context, "address", None)
    return str(address[0]) if isinstance(address, tuple) else ""


def _checked(data: bytes) -> Report:
    """Return what a report says. Raises HTTPError 400 if it is not a report."""
    if len(data) > _MAX_BODY_BYTES:
        raise web.HTTPError(413, "a report has only a few words")
    try:
        body: object = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    known: dict[str, object] = body if isinstance(body, dict) else {}
    port, host = known.get("port"), known.get("host")
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise web.HTTPError(400, 'the body must be {"port": N} with N from 1 to 65535')
    return Report(
        port,
        host if isinstance(host, str) else "",
        _word(known, "claim", _CLAIMANT),
        _word(known, "next", _CODE),
        _word(known, "job_id", _JOB_ID),
        known.get("confirms") is True,
        known.get("listening") is True,
    )


def _word(body: Mapping[str, object], name: str, form: re.Pattern[str]) -> str:
    """Return a word of a report, empty if it is missing. Raises HTTPError 400 for another form."""
    value = body.get(name)
    if value is None:
        return ""
    if not (isinstance(value, str) and form.fullmatch(value)):
        raise web.HTTPError(400, f'"{name}" must look like /{form.pattern}/')
    return value


register_handler(default_handlers, _PATH, BatchSpawnerAPIHandler)
