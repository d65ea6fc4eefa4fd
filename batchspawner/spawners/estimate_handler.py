"""The handler that tells a form when its server would start: ``…/batchspawner/estimate/USER``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol, cast

from jupyterhub.apihandlers import default_handlers
from tornado import web

from ..translation import translated_by
from .hub.handlers import APIHandler, needs_scope
from .hub.jupyterhub import register_handler, server_of_user
from .options.estimate_words import estimate_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tornado.web import RequestHandler

    from ..translation import Catalogue
    from .options.start_estimate import StartEstimate

    class _EstimatingSpawner(Protocol):
        def catalogue(self, handler: RequestHandler | None = None) -> Catalogue: ...

        async def start_estimate(
            self, form: Mapping[str, Sequence[str]]
        ) -> StartEstimate | None: ...


_PATH = r"/api/batchspawner/estimate/([^/]+)"
_MAX_BODY_BYTES = 100_000
_MAX_FIELDS = 500


class EstimateHandler(APIHandler):
    """Handler of the question when a server would start, which the script of a form asks.

    The body is ``{"form": {NAME: [VALUE, …]}}``, as the form would be sent; the answer has a `text`
    and, if a change would start the server at once, what to `set`. It needs the scope by which a
    user may start this server, and nothing changes.
    """

    @needs_scope("servers")
    async def post(self, user_name: str, server_name: str = "") -> None:
        """Answer with an estimate; an empty text if there is none."""
        user = self.find_user(user_name)
        # A server that nobody has opened the form of is not made for this.
        spawner = None if user is None else server_of_user(user, server_name)
        if spawner is None:
            raise web.HTTPError(404, "there is no such server")
        form = _checked(self.request.body)
        if not hasattr(spawner, "start_estimate"):
            self.finish(json.dumps({"text": ""}))
            return
        estimating = cast("_EstimatingSpawner", spawner)
        with translated_by(estimating.catalogue(cast("RequestHandler", self))):
            found = await estimating.start_estimate(form)
            self.finish(json.dumps(estimate_message(found)))


def _checked(data: bytes) -> dict[str, list[str]]:
    """Return the fields of a form. Raises HTTPError 400 if this is not a form."""
    if len(data) > _MAX_BODY_BYTES:
        raise web.HTTPError(413, "this is too long for a form")
    try:
        body: object = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    form: object = body.get("form") if isinstance(body, dict) else None
    if not isinstance(form, dict) or len(form) > _MAX_FIELDS:
        raise web.HTTPError(400, 'the body must be {"form": {NAME: [VALUE, ...]}}')
    for values in form.values():
        if not (isinstance(values, list) and values and all(isinstance(v, str) for v in values)):
            raise web.HTTPError(400, "each field of the form must be a list of texts")
    return form


register_handler(default_handlers, _PATH, EstimateHandler)
register_handler(default_handlers, rf"{_PATH}/([^/]+)", EstimateHandler)
