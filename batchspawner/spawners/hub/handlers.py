"""JupyterHub's bases of handlers, with the types that JupyterHub lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from enum import Enum
    from logging import Logger
    from typing import Any, Protocol

    from sqlalchemy.orm import Session
    from tornado.httputil import HTTPServerRequest

    from .jupyterhub import HubUser

    _Method = Callable[..., Awaitable[None]]

    def needs_scope(name: str) -> Callable[[_Method], _Method]:
        """Return JupyterHub's decorator of a handler's method."""

    class Scope(Enum):
        """JupyterHub's word for a scope without limits."""

        ALL = True

    class Token(Protocol):
        """Token of JupyterHub's API that a request carries."""

        user: object
        scopes: list[str]

    class BaseHandler:
        """JupyterHub's base of handlers, as far as it is used here."""

        db: Session
        log: Logger
        parsed_scopes: Mapping[str, object]
        request: HTTPServerRequest
        settings: dict[str, Any]
        users: Mapping[object, HubUser]

        def find_user(self, name: str) -> HubUser | None: ...
        def finish(self, text: str) -> None: ...
        def get_argument(self, name: str, default: str) -> str: ...
        def get_auth_token(self) -> str | None: ...
        def get_scope_filter(self, scope: str) -> Callable[[object, str], bool]: ...
        def get_token(self) -> Token | None: ...
        async def render_template(self, name: str, **variables: object) -> str: ...
        def set_header(self, name: str, value: str) -> None: ...
        def set_status(self, status: int) -> None: ...

    class APIHandler(BaseHandler):
        """JupyterHub's base of its REST API."""

        _jupyterhub_user: object

else:
    from jupyterhub.apihandlers import APIHandler
    from jupyterhub.handlers import BaseHandler
    from jupyterhub.scopes import Scope, needs_scope

__all__ = ["APIHandler", "BaseHandler", "ReportHandler", "Scope", "needs_scope"]


class ReportHandler(APIHandler):
    """Base of a handler that checks the token of a request itself, and looks at nothing else.

    JupyterHub would first look up the token's user with all roles, groups and scopes, and store
    when the token was used: half of what a report costs the Hub.
    """

    async def prepare(self) -> None:
        """Identify nobody; JupyterHub calls it before each request."""
        self._jupyterhub_user = None
        self.parsed_scopes = {}
        if not self.db.is_active:
            # JupyterHub does so when it cannot find a user.
            self.db.rollback()
