"""Let a job report to the Hub where its server listens: ``POST /hub/api/batchspawner``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers import APIHandler, default_handlers
from tornado import web

_PATH = r"/api/batchspawner"
_LONGEST_BODY = 10_000
_CLAIMANT = re.compile(r"[A-Za-z0-9_-]{16,128}")
_CODE = re.compile(r"[A-Za-z0-9_-]{43}\.claim-[0-9]{1,18}")
_JOB_ID = re.compile(r"[\x21-\x7e]{0,200}")


@dataclass(frozen=True)
class Report:
    """Hold the checked body of a report; nothing else of it is looked at."""

    port: int
    host: str = ""
    claimant: str = ""
    following: str = ""
    job_id: str = ""
    confirms: bool = False
    listening: bool = False


class BatchSpawnerAPIHandler(APIHandler):
    """Take the report of the job whose server's token, or claim code, the request carries.

    The body is ``{"port": 1..65535}``, and ``"host"`` where the spawner allows that. With a claim
    code there is also ``"claim"``, a random word of the process that asks, ``"job_id"``, and
    ``"next"``, the code for the job's next run; the answer then is ``{"environment": {...}}``.
    ``"confirms": true`` promises a second report with ``"listening": true``, once the server has
    opened the port. Anything else is ignored: a job sets nothing but its own server's address.
    """

    async def post(self) -> None:
        """Take note of a server's port, and answer as all releases have."""
        code, report = self.get_auth_token() or "", _checked(self.request.body)
        # A code that an older wrapper has made the token is used when somebody claims with it.
        is_token = self.get_token() is not None and not report.claimant
        claimed = None if is_token else self._server_of_code(code)
        if claimed is not None:
            await self._claim(claimed, code, report)
            return
        spawner = self._server_of_token()
        if report.listening:
            self._confirm(spawner, report)
        elif hasattr(spawner, "receive_report"):
            spawner.receive_report(report.port, report.host, confirms=report.confirms)
        else:
            # A spawner of another package that uses our wrapper.
            spawner.port = report.port
        self._done(spawner, report)

    def _confirm(self, spawner: Any, report: Report) -> None:
        if hasattr(spawner, "receive_confirmation"):
            spawner.receive_confirmation(report.port)

    async def _claim(self, spawner: Any, code: str, report: Report) -> None:
        """Exchange a code for the secrets of its server."""
        from ..secrets.claim import Application
        from ..secrets.exchange import ClaimRefused, exchange, promote

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
            else:
                await promote(spawner, application)
        except ClaimRefused as refusal:
            self.log.warning("%s: claim refused: %s", spawner._log_name, refusal)
            raise web.HTTPError(refusal.status, str(refusal)) from None
        self._done(spawner, report, environment)

    def _done(
        self, spawner: Any, report: Report, environment: dict[str, str] | None = None
    ) -> None:
        said = "listens on" if report.listening else "reports"
        self.log.info("%s %s port %s", spawner._log_name, said, report.port)
        answer: dict[str, Any] = {"message": "BatchSpawner data configured"}
        if environment is not None:
            answer["environment"] = environment
        self.set_status(201)
        self.finish(json.dumps(answer))

    def _server_of_token(self) -> Any:
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

    def _server_of_code(self, code: str) -> Any | None:
        """Return the spawner whose code it says it is, None for what is no code."""
        from ..secrets.claim import server_of

        number = server_of(code)
        if number is None:
            return None
        row = self.db.get(orm.Spawner, number)
        if row is None or row.server is None:
            raise web.HTTPError(403, "this code belongs to no server that is starting or running")
        spawner = innermost(self.users[row.user].spawners[row.name])
        if not hasattr(spawner, "job_claim"):
            raise web.HTTPError(403, "this code belongs to no server that has codes")
        return spawner


def _peer(request: Any) -> str:
    """Return from which address a request comes, whatever its headers say.

    JupyterHub has tornado believe `X-Forwarded-For`, which anybody can send.
    """
    address = request.connection.context.address
    return str(address[0]) if isinstance(address, tuple) else ""


def innermost(spawner: Any) -> Any:
    """Return the spawner that started the job, inside whatever wraps it."""
    while getattr(spawner, "child_spawner", None) is not None:
        spawner = spawner.child_spawner
    return spawner


def _checked(data: bytes) -> Report:
    """Return what a report says. Raises HTTPError 400 for what is none."""
    if len(data) > _LONGEST_BODY:
        raise web.HTTPError(413, "a report has only a few words")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else {}
    port, host, claimant, following, job_id = (
        body.get(name) for name in ("port", "host", "claim", "next", "job_id")
    )
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise web.HTTPError(400, 'the body must be {"port": N} with N from 1 to 65535')
    for name, value, form in (
        ("claim", claimant, _CLAIMANT),
        ("next", following, _CODE),
        ("job_id", job_id, _JOB_ID),
    ):
        if value is not None and not (isinstance(value, str) and form.fullmatch(value)):
            raise web.HTTPError(400, f'"{name}" must look like /{form.pattern}/')
    return Report(
        port,
        host if isinstance(host, str) else "",
        claimant or "",
        following or "",
        job_id or "",
        body.get("confirms") is True,
        body.get("listening") is True,
    )


if not any(path == _PATH for path, *_ in default_handlers):
    default_handlers.append((_PATH, BatchSpawnerAPIHandler))
