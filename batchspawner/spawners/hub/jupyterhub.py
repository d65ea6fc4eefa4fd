"""What this library uses of JupyterHub around a spawner, with the types that JupyterHub lacks.

Nothing else here touches a private attribute of JupyterHub, whose versions 4.1 to 6 are supported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import quote
from weakref import WeakKeyDictionary

from jupyterhub import orm, version_info
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from . import database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from logging import Logger

    from traitlets import Bool, HasTraits, Integer, Unicode

    from ..server_job import ServerJob

CAN_STOP_STARTING = version_info >= (6,)
"""Whether JupyterHub stops a server that is still starting; older ones refuse that."""

_POLL_INTERVAL_S = 0.1
"""Time between two looks whether JupyterHub has finished what it does with a server."""

_DATABASE_INTERVAL_S = 2.0
"""Time until a database that did not answer is asked again."""


class HubUser(Protocol):
    """User of a Hub.

    `settings` are those of its web application; `groups` are rows of its database. JupyterHub makes
    `spawners` when they are needed; `orm_spawners` are the rows of all servers.
    """

    name: str
    settings: dict[str, Any]
    spawners: Mapping[str, HubSpawner]
    orm_spawners: Mapping[str, SpawnerRow]

    def server_url(self, server_name: str) -> str: ...


class HubUrls(Protocol):
    """Addresses of the Hub, as its servers see it."""

    api_url: str
    base_url: str


class ServerAddress(Protocol):
    """Where a server is, in the Hub's database."""

    ip: str
    port: int

    @property
    def url(self) -> str: ...


class SpawnerRow(Protocol):
    """Row of a spawner in the Hub's database."""

    id: int
    state: dict[str, Any]


class HubSpawner(Protocol):
    """What every spawner has; JupyterHub provides it."""

    log: Logger
    name: str
    user: HubUser
    hub: HubUrls
    server: ServerAddress
    ip: str
    port: int
    api_token: str
    internal_ssl: bool
    http_timeout: int
    poll_interval: int
    _spawn_pending: bool
    _spawn_future: asyncio.Future[None] | None
    _check_pending: bool

    @property
    def orm_spawner(self) -> SpawnerRow | None: ...

    @property
    def pending(self) -> str | None: ...

    @property
    def ready(self) -> bool: ...

    @property
    def active(self) -> bool: ...

    def get_env(self) -> dict[str, str]: ...

    def get_state(self) -> dict[str, Any]: ...

    async def poll_and_notify(self) -> int | None: ...


class JobSpawner(HubSpawner, Protocol):
    """What every spawner of this library has besides."""

    job: ServerJob
    scheduler_name: str

    @property
    def log_name(self) -> str: ...


if TYPE_CHECKING:

    class Spawner(HasTraits):
        """JupyterHub's spawner, as far as this library uses it, for the type checker only."""

        _spawn_pending: bool
        _spawn_future: asyncio.Future[None] | None
        _check_pending: bool
        active: bool
        log: Logger
        name: str
        orm_spawner: SpawnerRow
        hub: HubUrls
        pending: str | None
        ready: bool
        server: ServerAddress
        user: Any

        api_token = Unicode()
        cmd: list[str]
        create_certs: Callable[..., Any]
        http_timeout = Integer()
        internal_certs_location = Unicode()
        internal_ssl = Bool()
        internal_trust_bundles: dict[str, str]
        ip = Unicode()
        move_certs: Callable[..., Any]
        options_form: Any
        poll_interval = Integer()
        port = Integer()
        ssl_alt_names: Any
        user_options: dict[str, Any]

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def clear_state(self) -> None: ...
        def get_args(self) -> list[str]: ...
        def get_env(self) -> dict[str, str]: ...
        def get_state(self) -> dict[str, Any]: ...
        def load_state(self, state: dict[str, Any]) -> None: ...
        async def poll_and_notify(self) -> int | None: ...
        def progress(self) -> AsyncIterator[dict[str, Any]]: ...

else:
    from jupyterhub.spawner import Spawner  # noqa: F401  (others import it from here)


def log_name(spawner: HubSpawner) -> str:
    """Return what names a server in the Hub's log: its user, and its own name."""
    return ":".join(filter(None, (user_name(spawner), server_name(spawner))))


def user_name(spawner: HubSpawner) -> str:
    """Return the name of a server's user; see _name_in for why it is not `spawner.user.name`."""
    row = getattr(spawner.user, "orm_user", None)
    return spawner.user.name if row is None else _name_in(row)


def server_name(spawner: HubSpawner) -> str:
    """Return a server's own name, empty for a user's default server."""
    row = spawner.orm_spawner
    return spawner.name if row is None else _name_in(row)


def _name_in(row: object) -> str:
    """Return the name in a row of the Hub's database, without a query if it was read before.

    With each commit, SQLAlchemy forgets all that it has read. A row of a user is then read again
    with several queries, and while many servers start, somebody has just committed at any time. The
    database may also be away.
    """
    name: str | None = vars(row).get("name") or _names.get(row)
    if name is None:
        session = database.session_of(row)
        if session is not None:
            database.end_failed_transaction(session)
        name = str(getattr(row, "name"))  # noqa: B009  (of a user or a server)
    _names[row] = name
    return name


_names: WeakKeyDictionary[object, str] = WeakKeyDictionary()


@event.listens_for(orm.User.name, "set")
def _renamed(row: object, name: str, *_: object) -> None:
    _names[row] = name


def may_end(spawner: HubSpawner) -> bool:
    """Check whether JupyterHub may be told now that a server has ended.

    It stores that at once. If its database refuses it, JupyterHub considers the server to be
    stopping until the Hub is started again.
    """
    session = database.session_of(spawner.orm_spawner)
    if session is None or database.answers(session):
        return True
    text = "%s: the Hub's database does not answer, so that the server is ended later"
    spawner.log.warning(text, log_name(spawner))
    return False


def server_of_user(user: HubUser, name: str) -> HubSpawner | None:
    """Return a user's spawner of this name, None if it has not been made yet."""
    # The mapping makes a spawner, and a row in the database, for any name that it is asked for.
    return user.spawners[name] if not name or name in user.spawners else None


def estimate_url_of(spawner: HubSpawner) -> str:
    """Return the address under which the form of a server asks when it would start."""
    server = f"/{quote(spawner.name, safe='')}" if spawner.name else ""
    base = spawner.hub.base_url.rstrip("/")
    return f"{base}/api/batchspawner/estimate/{quote(spawner.user.name, safe='')}{server}"


def store_of(spawner: HubSpawner) -> str:
    """Return under which name the browser of a user keeps what is theirs in this Hub."""
    return f"batchspawner:{spawner.hub.base_url}:{spawner.user.name}"


def register_handler(known: list[tuple[object, ...]], path: str, handler: type) -> None:
    """Add a handler to a list of JupyterHub's own, once."""
    if not any(one[0] == path for one in known):
        known.append((path, handler))


def replace_handler(known: list[tuple[object, ...]], replaced: type, handler: type) -> None:
    """Put a handler in the place of one of JupyterHub's own, in a list of them."""
    known[:] = [(one[0], handler, *one[2:]) if one[1] is replaced else one for one in known]


def innermost(spawner: HubSpawner) -> HubSpawner:
    """Return the spawner that started the job, inside whatever wraps it."""
    while (child := getattr(spawner, "child_spawner", None)) is not None:
        spawner = cast("HubSpawner", child)
    return spawner


def hub_spawner(spawner: HubSpawner) -> HubSpawner:
    """Return the spawner that JupyterHub itself holds: this one, or what wraps it."""
    known: Mapping[str, HubSpawner] = getattr(spawner.user, "spawners", {})
    # Not known[name]: JupyterHub's dictionary would make a spawner.
    outer = known.get(server_name(spawner))
    return outer if outer is not None and innermost(outer) is spawner else spawner


async def notify_of_end(spawner: HubSpawner) -> None:
    """Make JupyterHub poll a server now, and clean up after it if it has ended."""
    outer = hub_spawner(spawner)
    if await settled(outer):
        await outer.poll_and_notify()


async def settled(spawner: HubSpawner) -> bool:
    """Wait until JupyterHub has finished a start or a check; return whether a server runs.

    Without its database, JupyterHub does not know whether it does, and finishes nothing.
    """
    outer = hub_spawner(spawner)
    while True:
        while outer.pending in ("spawn", "check"):
            await asyncio.sleep(_POLL_INTERVAL_S)
        try:
            return bool(outer.ready)
        except SQLAlchemyError as error:
            session = database.session_of(outer.orm_spawner)
            if session is None:
                raise
            session.rollback()
            text = "%s: the Hub's database does not answer, it is asked again: %s"
            outer.log.warning(text, log_name(outer), database.said_by(error))
        await asyncio.sleep(_DATABASE_INTERVAL_S)


async def add_route(spawner: HubSpawner) -> None:
    """Add the address of a server to the proxy."""
    outer = hub_spawner(spawner)
    settings: Mapping[str, Any] = getattr(outer.user, "settings", None) or {}
    proxy = settings.get("proxy")
    if proxy is not None:
        await proxy.add_user(outer.user, outer.name)


class PendingSpawn:
    """A start that an earlier Hub process began, shown by JupyterHub as one that is pending.

    JupyterHub only checks such a server when it begins. `finished` is what its pages wait for; it
    is cancelled when the server is stopped.
    """

    def __init__(self, spawner: HubSpawner) -> None:
        self._outer = hub_spawner(spawner)
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outer._spawn_pending, self._outer._spawn_future = True, self.finished

    async def end(self, failure: BaseException | None) -> None:
        """End the start in JupyterHub's eyes, once it has finished its check."""
        outer = self._outer
        if failure is not None:
            outer._spawn_pending = False
            if not self.finished.done():
                self.finished.set_exception(failure)
                self.finished.exception()  # whoever shows the page may look; nobody has to
            return
        while outer._check_pending:
            await asyncio.sleep(_POLL_INTERVAL_S)
        try:
            # No longer pending if it was stopped meanwhile.
            if outer._spawn_pending:
                await add_route(outer)
        finally:
            outer._spawn_pending = False
            if not self.finished.done():
                self.finished.set_result(None)
