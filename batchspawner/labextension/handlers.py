"""REST interface and push channel of the server extension, below ``batchspawner/``.

All of it needs what the server's own interface needs: its token or a signed-in browser with the
XSRF cookie, and what the server's authorizer allows.
https://jupyter-server.readthedocs.io/en/latest/operators/security.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import url_path_join
from tornado import web, websocket

from ..client.blocking_client import elsewhere
from ..concurrency import in_background
from ..errors import BatchError, OptionsError
from ..message import Message
from ..translation import best_catalogue, translated, translated_by
from . import offers, submits
from .logs import log_part

if TYPE_CHECKING:
    from ..translation import Catalogue
    from .collector import Collector

RESOURCE = "batchspawner"
"""What the server's authorizer is asked about."""

_JOB = r"(?P<row>[^/]+)"
_OFFSET = re.compile("[0-9]{0,18}")


class _Handler(APIHandler):
    """Handler of our interface, which answers errors as JSON."""

    auth_resource = RESOURCE

    def initialize(self, collector: Collector) -> None:
        """Take the collector of this server; tornado calls it for each request."""
        self.collector = collector

    def answer(self, value: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Finish the request with a value as JSON, its messages in the reader's language."""
        self.set_status(status)
        self.finish(_as_json(value, _catalogue_for(self)))

    def refusal(self, status: HTTPStatus, why: Exception | Message) -> web.HTTPError:
        """Return the error that says, in the reader's language, why a request is refused.

        What a scheduler said is left as it is.
        """
        told = why.message if isinstance(why, OptionsError) else why
        with translated_by(_catalogue_for(self)):
            return web.HTTPError(status, str(translated(told)))

    def given(self) -> dict[str, Any]:
        """Return the object in the request. Raises HTTPError if there is none."""
        try:
            body = self.get_json_body()
        except UnicodeDecodeError as error:
            raise web.HTTPError(400, f"the request is no JSON in UTF-8: {error}") from error
        if not isinstance(body, dict):
            raise web.HTTPError(400, "the request has no JSON object")
        return body


class JobsHandler(_Handler):
    """All jobs of this user."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        rows = await elsewhere(self.collector.snapshot())
        self.answer({"jobs": [one.as_json() for one in rows]})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Submit a notebook as a job."""
        try:
            done = await submits.submit_notebook(self.contents_manager, self.given())
        except (BatchError, LookupError, OSError, UnicodeError) as error:
            raise self.refusal(HTTPStatus.BAD_REQUEST, error) from error
        self.answer(done, HTTPStatus.CREATED)


class JobHandler(_Handler):
    """One job of this user."""

    @web.authenticated
    @authorized
    async def delete(self, row: str) -> None:
        """Cancel it."""
        try:
            found = await elsewhere(self.collector.cancel(row))
        except BatchError as error:
            raise self.refusal(HTTPStatus.BAD_GATEWAY, error) from error
        if not found:
            raise self.refusal(HTTPStatus.NOT_FOUND, Message("you have no such job"))
        self.answer({"cancelled": row}, HTTPStatus.ACCEPTED)


class LogHandler(_Handler):
    """What a job has printed; ``offset`` continues an earlier part."""

    @web.authenticated
    @authorized
    async def get(self, row: str) -> None:
        files = await elsewhere(self.collector.logs(row))
        offset = self.get_query_argument("offset", "")
        if not _OFFSET.fullmatch(offset):
            raise web.HTTPError(400, "offset is a number of bytes")
        name = self.get_query_argument("file", "")
        loop = asyncio.get_running_loop()
        try:
            part = await loop.run_in_executor(
                None, log_part, files, name, int(offset) if offset else None
            )
        except (LookupError, OSError) as error:
            raise self.refusal(HTTPStatus.NOT_FOUND, error) from error
        self.answer(part)


class QueuesHandler(_Handler):
    """What this machine's scheduler offers."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.answer(await elsewhere(offers.queues()))


class EstimateHandler(_Handler):
    """When a job would start that asks for this."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        wanted = {name: self.get_query_argument(name, "") for name in offers.ASKED}
        self.answer(await elsewhere(offers.estimate(wanted)))


class KernelsHandler(_Handler):
    """Kernels that run in jobs."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Write a kernel spec."""
        loop = asyncio.get_running_loop()
        try:
            name = await loop.run_in_executor(None, submits.write_kernel, self.given())
        except (BatchError, LookupError, OSError) as error:
            raise self.refusal(HTTPStatus.BAD_REQUEST, error) from error
        self.answer({"name": name}, HTTPStatus.CREATED)


class ChannelHandler(WebSocketMixin, websocket.WebSocketHandler, JupyterHandler):
    """Push channel: all rows, and then what changes."""

    auth_resource = RESOURCE

    def initialize(self, collector: Collector) -> None:
        """Take the collector of this server; tornado calls it for each connection."""
        self.collector = collector
        self._loop = asyncio.get_running_loop()

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the channel."""
        await self._check_access()
        await super().get(*args, **kwargs)

    @authorized
    async def _check_access(self) -> None:
        """Raise HTTPError for a user whom the server's authorizer does not allow this."""

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Start to follow; tornado calls it."""
        super().open(*_args, **_kwargs)
        self._catalogue = _catalogue_for(self)
        in_background(elsewhere(self.collector.follow(self._send)))

    def on_message(self, message: str | bytes) -> None:
        """Note whether the browser shows the list of jobs; tornado calls it."""
        try:
            told = json.loads(message)
            is_open = bool(told["open"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self.close(1003, "not understood")
            return
        in_background(elsewhere(self.collector.set_open(self._send, is_open)))

    def on_close(self) -> None:
        """Stop to follow; tornado calls it."""
        super().on_close()
        in_background(elsewhere(self.collector.forget(self._send)))

    def _send(self, message: dict[str, Any]) -> None:
        """Send a message from the library's own thread."""
        text = _as_json(message, self._catalogue)
        self._loop.call_soon_threadsafe(lambda: in_background(self._write(text)))

    async def _write(self, text: str) -> None:
        with contextlib.suppress(websocket.WebSocketClosedError):
            await self.write_message(text)


def _catalogue_for(handler: JupyterHandler) -> Catalogue:
    """Return the catalogue for the reader of an answer.

    JupyterLab names its own language; a WebSocket of a browser can do so only in its address.
    """
    accepted = handler.get_query_argument("language", "")
    return best_catalogue(accepted or handler.request.headers.get("Accept-Language", ""), "", ())


def _as_json(value: object, catalogue: Catalogue) -> str:
    with translated_by(catalogue):
        return json.dumps(translated(value))


def handlers(base_url: str, collector: Collector) -> list[tuple[str, type, dict[str, Any]]]:
    """Return our paths with their handlers, for tornado."""
    paths: dict[str, type] = {
        "jobs": JobsHandler,
        f"jobs/{_JOB}": JobHandler,
        f"jobs/{_JOB}/log": LogHandler,
        "queues": QueuesHandler,
        "estimate": EstimateHandler,
        "kernels": KernelsHandler,
        "channel": ChannelHandler,
    }
    return [
        (url_path_join(base_url, RESOURCE, path), handler, {"collector": collector})
        for path, handler in paths.items()
    ]
