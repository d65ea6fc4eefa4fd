"""What this library uses of JupyterHub around a spawner, with the types that JupyterHub lacks.

Nothing else here touches a private attribute of JupyterHub, whose versions 4.1 to 6 are supported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from logging import Logger

    from traitlets import Bool, HasTraits, Integer, Unicode

    from ..server_job import ServerJob

_POLL_INTERVAL_S = 0.1
"""Time between two looks whether JupyterHub has finished what it does with a server."""


class HubUser(Protocol):
    """User of a Hub. `settings` are those of its web application, `groups` rows of its database."""

    name: str
    settings: dict[str, Any]
    spawners: Mapping[str, HubSpawner]


class HubUrls(Protocol):
    """Addresses of the Hub, as its servers see it."""

    api_url: str


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
    start_timeout: int
    http_timeout: int
    poll_interval: int
    _spawn_pending: bool
    _spawn_future: asyncio.Future[None] | None
    _check_pending: bool

    @property
    def _log_name(self) -> str: ...

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

        _log_name: str
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
        start_timeout = Integer()
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
    return str(spawner._log_name)


def innermost(spawner: HubSpawner) -> HubSpawner:
    """Return the spawner that started the job, inside whatever wraps it."""
    while (child := getattr(spawner, "child_spawner", None)) is not None:
        spawner = cast("HubSpawner", child)
    return spawner


def hub_spawner(spawner: HubSpawner) -> HubSpawner:
    """Return the spawner that JupyterHub itself holds: this one, or what wraps it."""
    known: Mapping[str, HubSpawner] = getattr(spawner.user, "spawners", {})
    # Not known[name]: JupyterHub's dictionary would make a spawner.
    outer = known.get(spawner.name)
    return outer if outer is not None and innermost(outer) is spawner else spawner


async def notify_of_end(spawner: HubSpawner) -> None:
    """Make JupyterHub poll a server now, and clean up after it if it has ended."""
    outer = hub_spawner(spawner)
    if await _settled(outer):
        await outer.poll_and_notify()


async def move_server(spawner: HubSpawner, host: str, port: int) -> None:
    """Change the address of a running server, in the Hub and in its proxy."""
    outer = hub_spawner(spawner)
    if not await _settled(outer):
        return
    spawner.server.ip, spawner.server.port = host, port
    spawner.ip, spawner.port = host, port
    await _add_route(outer)


async def _settled(outer: HubSpawner) -> bool:
    """Wait until JupyterHub has finished a start or a check; return whether a server runs."""
    while outer.pending in ("spawn", "check"):
        await asyncio.sleep(_POLL_INTERVAL_S)
    return bool(outer.ready)


async def _add_route(outer: HubSpawner) -> None:
    """Add the address of a server to the proxy."""
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
                await _add_route(outer)
        finally:
            outer._spawn_pending = False
            if not self.finished.done():
                self.finished.set_result(None)
