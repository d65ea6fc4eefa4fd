"""The configuration of a site, and a spawner made from it without starting a Hub."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..schedulers import scheduler_facts
from .findings import CheckAborted, ok, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy.orm import Session
    from traitlets.config import Config

    from .findings import Finding


class Owner(Protocol):
    """The user who owns the job."""

    @property
    def name(self) -> str: ...


class Hub(Protocol):
    """The addresses of the Hub, as JupyterHub makes them from its configuration."""

    @property
    def api_url(self) -> str: ...

    @property
    def bind_url(self) -> str: ...


class Row(Protocol):
    """The row of a server in the database."""

    id: int


class CheckedSpawner(Protocol):
    """What the checks use of a batch spawner."""

    user: Owner
    hub: Hub
    orm_spawner: Row
    args: list[str]
    cmd: list[str]
    api_token: str
    scheduler_name: str
    req_homedir: str
    batchspawner_singleuser_cmd: str
    port_range: tuple[int, ...]
    trust_reported_host: bool
    http_timeout: int
    secret_transport: str
    secret_variables: list[str]
    cmd_formatted_for_batch: Callable[[], str]
    script_variables: Callable[[], dict[str, object]]
    _get_batch_script: Callable[..., Awaitable[str]]

    @property
    def backend(self) -> object: ...

    user_options: dict[str, object]

    def connect_host(self, host: str) -> str: ...

    def take_options(self, given: object) -> Awaitable[None]: ...

    def get_args(self) -> list[str]: ...

    def get_env(self) -> dict[str, str]: ...

    def trait_names(self, *, config: bool) -> list[str]: ...


class Application(Protocol):
    """What the checks use of JupyterHub's application."""

    @property
    def spawner_class(self) -> type: ...

    @property
    def authenticator_class(self) -> type: ...

    @property
    def proxy_class(self) -> type: ...

    @property
    def hub(self) -> Hub: ...

    @property
    def base_url(self) -> str: ...

    @property
    def cleanup_servers(self) -> bool: ...


@dataclass(frozen=True)
class Site:
    """A loaded configuration: JupyterHub's application and its settings."""

    app: Application
    config: Config
    file: Path

    sessions: list[Session] = field(default_factory=list)

    def database(self) -> Session:
        """Return a database in memory; that of the Hub is not touched."""
        from jupyterhub import orm

        self.sessions.append(orm.new_session_factory("sqlite:///:memory:")())
        return self.sessions[-1]

    def close(self) -> None:
        """Close the databases."""
        from sqlalchemy.engine import Engine

        for session in self.sessions:
            engine = session.get_bind()
            session.close()
            if isinstance(engine, Engine):
                engine.dispose()

    @property
    def section(self) -> str:
        """The name of the spawner's section in the configuration, such as SlurmSpawner."""
        return self.app.spawner_class.__name__


def missing_file(file: Path) -> str:
    """Return why there is no file under a name, empty if there is one."""
    if os.path.isfile(file):  # noqa: PTH113  (raises nothing)
        return ""
    if os.path.isdir(file):  # noqa: PTH112
        return f"{file} is a folder, and not a configuration file"
    return f"there is no file {file}"


def load_site(file: Path) -> Site:
    """Run a configuration file as JupyterHub would. Raises CheckAborted."""
    from jupyterhub.app import JupyterHub
    from traitlets.config.loader import PyFileConfigLoader

    missing = missing_file(file)
    if missing and not _is_hidden(file):
        raise CheckAborted(
            wrong("configuration", missing, "batchspawner check -f /path/to/jupyterhub_config.py")
        )
    # A configuration may import modules from its own folder.
    sys.path.insert(0, str(file.parent))
    try:
        config = PyFileConfigLoader(file.name, path=str(file.parent)).load_config()
        app = JupyterHub(config=config)
        _ = app.spawner_class
        app.init_hub()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CheckAborted(
            wrong("configuration", _describe(error, file), _line_of(error, file))
        ) from error
    finally:
        sys.path.remove(str(file.parent))
    return Site(app, config, file)


def _is_hidden(file: Path) -> bool:
    """Return whether a folder above the file may not be entered, so that nothing is known of it."""
    return not os.access(file.absolute().parent, os.X_OK) and file.absolute().parent.exists()


def _describe(error: BaseException, file: Path) -> str:
    return f"{file.name} cannot be loaded: {type(error).__name__}: {error}"


def _line_of(error: BaseException, file: Path) -> str:
    """Return the line of the configuration that caused an error."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: {(error.text or '').strip()}"
    lines = [
        f"line {frame.lineno}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).name == file.name
    ]
    return lines[-1] if lines else ""


def check_hub(site: Site, spawner: CheckedSpawner) -> Iterator[Finding]:
    """Check the Hub's address as jobs get it, and whether servers outlive a restart."""
    url = spawner.hub.api_url
    host = url.split("//", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]
    is_loopback = host in ("127.0.0.1", "localhost", "[::1]")
    if is_loopback and not scheduler_facts(spawner.scheduler_name).this_machine:
        yield warning(
            "address",
            f"jobs look for the Hub at {url}, which is their own node and not this machine",
            'c.JupyterHub.hub_ip = "0.0.0.0"\n'
            'c.JupyterHub.hub_connect_ip = "<this machine\'s address in the cluster>"',
        )
    else:
        yield ok("address", f"jobs find the Hub at {url}")
    if site.app.cleanup_servers:
        yield warning(
            "restart",
            "the Hub stops all servers when it is stopped",
            "c.JupyterHub.cleanup_servers = False",
        )
