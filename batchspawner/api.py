"""Let a job report to the Hub where its server listens: ``POST /hub/api/batchspawner``."""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.apihandlers import APIHandler, default_handlers
from tornado import web

_PATH = r"/api/batchspawner"


class BatchSpawnerAPIHandler(APIHandler):
    """Take the report of the job whose server's token the request carries.

    The body is ``{"port": 1..65535}``, and ``"host"`` where the spawner allows that. Anything
    else in it is ignored: a job sets nothing but its own server's address.
    """

    async def post(self) -> None:
        """Take note of a server's port, and answer as all releases have."""
        spawner = self._server_of_token()
        port, host = _checked(self.get_json_body())
        if hasattr(spawner, "receive_report"):
            spawner.receive_report(port, host)
        else:
            # A spawner of another package that uses our wrapper.
            spawner.port = port
        self.log.info("%s reports port %s", spawner._log_name, port)
        self.set_status(201)
        self.finish(json.dumps({"message": "BatchSpawner data configured"}))

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


def innermost(spawner: Any) -> Any:
    """Return the spawner that started the job, inside whatever wraps it."""
    while getattr(spawner, "child_spawner", None) is not None:
        spawner = spawner.child_spawner
    return spawner


def _checked(body: Any) -> tuple[int, str]:
    """Return port and host of a report. Raises HTTPError 400 for what is none."""
    port = body.get("port") if isinstance(body, dict) else None
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise web.HTTPError(400, 'the body must be {"port": N} with N from 1 to 65535')
    host = body.get("host", "")
    return port, host if isinstance(host, str) else ""


if not any(path == _PATH for path, *_ in default_handlers):
    default_handlers.append((_PATH, BatchSpawnerAPIHandler))
