"""The configuration of a site, and a spawner made from it without starting a Hub."""

from __future__ import annotations

import difflib
import secrets
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..schedulers import scheduler_facts
from .findings import CheckAborted, Finding, ok, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy.orm import Session
    from traitlets.config import Config

_UNUSED_ROW_ID = 2**31 - 1

_SPAWNER_CURE = 'c.JupyterHub.spawner_class = "slurm"  # or gridengine, pbs, lsf, condor, oar ...'


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


class CheckedSpawner(Protocol):
    """What the checks use of a batch spawner."""

    user: Owner
    hub: Hub
    cmd: list[str]
    api_token: str
    scheduler_name: str
    req_homedir: str
    batchspawner_singleuser_cmd: str
    port_range: tuple[int, ...]
    trust_reported_host: bool
    cmd_formatted_for_batch: Callable[[], str]
    script_variables: Callable[[], dict[str, object]]

    @property
    def backend(self) -> object: ...

    def connect_host(self, host: str) -> str: ...

    def trait_names(self, *, config: bool) -> list[str]: ...


class SpawnerClass(Protocol):
    """The class of the configured spawner."""

    __name__: str
    __mro__: tuple[type, ...]


class Application(Protocol):
    """What the checks use of JupyterHub's application."""

    @property
    def spawner_class(self) -> SpawnerClass: ...

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


def load_site(file: Path) -> Site:
    """Run a configuration file as JupyterHub would. Raises CheckAborted."""
    from jupyterhub.app import JupyterHub
    from traitlets.config.loader import PyFileConfigLoader

    if not file.is_file():
        text = f"there is no file {file}"
        raise CheckAborted(
            wrong("configuration", text, "batchspawner check -f /path/to/jupyterhub_config.py")
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


def check_settings(site: Site) -> Iterator[Finding]:
    """Find settings that nothing reads: JupyterHub ignores a misspelt one without a word."""
    found = list(_unknown_settings(site))
    yield from found
    if not found:
        version = str(sys.modules["jupyterhub"].__version__)
        yield ok(
            "configuration", f"{site.file.name} is loaded: {site.section}, JupyterHub {version}"
        )


def _unknown_settings(site: Site) -> Iterator[Finding]:
    from traitlets import HasTraits

    classes = {
        one.__name__: one for one in site.app.spawner_class.__mro__ if issubclass(one, HasTraits)
    }
    sections: Mapping[str, Mapping[str, object]] = site.config
    for name, section in sections.items():
        if name not in classes:
            continue
        known = set(classes[name].class_trait_names(config=True))
        for option in section:
            if option in known or option.startswith("_"):
                continue
            close = difflib.get_close_matches(option, known, 1)
            cure = f"c.{name}.{close[0]} = {section[option]!r}" if close else ""
            text = f"c.{name}.{option} is not an option and has no effect"
            yield wrong("configuration", text, cure)


def make_spawner(site: Site, user: str) -> CheckedSpawner:
    """Return the spawner of a user, on a database of its own. Raises CheckAborted."""
    from jupyterhub import orm
    from jupyterhub.user import User

    from ..spawners import BatchSpawnerBase

    db = site.database()
    row = orm.User(name=user)
    db.add(row)
    db.commit()
    settings = {
        "config": site.config,
        "spawner_class": site.app.spawner_class,
        "hub": site.app.hub,
        "base_url": site.app.base_url,
        "app": site.app,
    }
    try:
        outer = User(row, settings).spawners[""]
        inner = outer.construct_child() if hasattr(outer, "construct_child") else outer
    except Exception as error:
        text = f"{site.section} cannot be created: {type(error).__name__}: {error}"
        raise CheckAborted(wrong("configuration", text)) from error
    if not isinstance(inner, BatchSpawnerBase):
        text = f"{type(inner).__name__} does not start batch jobs"
        raise CheckAborted(wrong("configuration", text, _SPAWNER_CURE))
    # Files of a server are named after the id of its row: no server of the Hub has this one.
    inner.orm_spawner.id = _UNUSED_ROW_ID
    # It is not valid anywhere, but travels as a real one would.
    inner.api_token = f"check-{secrets.token_hex(16)}"
    # Its methods can be replaced: a probe takes the place of the server.
    return cast("CheckedSpawner", inner)


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
