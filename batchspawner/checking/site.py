"""Read a site's configuration and make its spawner, without starting a Hub."""

from __future__ import annotations

import difflib
import secrets
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schedulers import scheduler_facts
from .findings import Finding, doubtful, fine, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = 2**31 - 1

_CHOOSE = 'c.JupyterHub.spawner_class = "slurm"  # or gridengine, pbs, lsf, condor, oar ...'


class Broken(Exception):
    """End a check whose further steps need what is wrong."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


@dataclass(frozen=True)
class Site:
    """Hold what was made of a configuration: JupyterHub's application and its settings."""

    app: Any
    config: Any
    file: Path

    sessions: list[Any] = field(default_factory=list)

    def database(self) -> Any:
        """Return a database of our own: the Hub's is none of our business."""
        from jupyterhub import orm

        self.sessions.append(orm.new_session_factory("sqlite:///:memory:")())
        return self.sessions[-1]

    def close(self) -> None:
        """Close what was opened."""
        for session in self.sessions:
            engine = session.get_bind()
            session.close()
            engine.dispose()

    @property
    def section(self) -> str:
        """The name under which the configuration speaks of the spawner, such as SlurmSpawner."""
        return str(self.app.spawner_class.__name__)


def load_site(file: Path) -> Site:
    """Run a configuration file, as JupyterHub would. Raises Broken."""
    from jupyterhub.app import JupyterHub
    from traitlets.config.loader import PyFileConfigLoader

    if not file.is_file():
        text = f"there is no file {file}"
        raise Broken(
            wrong("configuration", text, "batchspawner check -f /path/to/jupyterhub_config.py")
        )
    # A configuration may import what lies beside it.
    sys.path.insert(0, str(file.parent))
    try:
        config = PyFileConfigLoader(file.name, path=str(file.parent)).load_config()
        app = JupyterHub(config=config)
        _ = app.spawner_class
        app.init_hub()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Broken(wrong("configuration", _say(error, file), _where(error, file))) from error
    finally:
        sys.path.remove(str(file.parent))
    return Site(app, config, file)


def _say(error: BaseException, file: Path) -> str:
    return f"{file.name} cannot be loaded: {type(error).__name__}: {error}"


def _where(error: BaseException, file: Path) -> str:
    """Return the line of the configuration that an error comes from."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"line {error.lineno}: {(error.text or '').strip()}"
    lines = [
        f"line {frame.lineno}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).name == file.name
    ]
    return lines[-1] if lines else ""


def look_at_settings(site: Site) -> Iterator[Finding]:
    """Find settings that nothing reads: a misspelt one is silently without effect."""
    found = list(_unread(site))
    yield from found
    if not found:
        version = sys.modules["jupyterhub"].__version__
        yield fine(
            "configuration", f"{site.file.name} is loaded: {site.section}, JupyterHub {version}"
        )


def _unread(site: Site) -> Iterator[Finding]:
    classes = {
        one.__name__: one for one in site.app.spawner_class.__mro__ if hasattr(one, "class_traits")
    }
    for name, section in site.config.items():
        if name not in classes:
            continue
        known = set(classes[name].class_trait_names(config=True))
        for option in section:
            if option in known or option.startswith("_"):
                continue
            close = difflib.get_close_matches(option, known, 1)
            cure = f"c.{name}.{close[0]} = {section[option]!r}" if close else ""
            text = f"c.{name}.{option} is no option, and has no effect"
            yield wrong("configuration", text, cure)


def make_spawner(site: Site, user: str) -> Any:
    """Return the spawner of a user, with a database of its own behind it. Raises Broken."""
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
        text = f"{site.section} cannot be made: {type(error).__name__}: {error}"
        raise Broken(wrong("configuration", text)) from error
    if not isinstance(inner, BatchSpawnerBase):
        text = f"{type(inner).__name__} starts no batch jobs"
        raise Broken(wrong("configuration", text, _CHOOSE))
    # Files of a server are named by its number: no server of the Hub has this one.
    inner.orm_spawner.id = _NUMBER
    # It opens nothing anywhere, but travels as a real one would.
    inner.api_token = f"check-{secrets.token_hex(16)}"
    return inner


def look_at_hub(site: Site, spawner: Any) -> Iterator[Finding]:
    """Look at the address that jobs are told for the Hub, and at the time that they are given."""
    url = spawner.hub.api_url
    host = url.split("//", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]
    if not scheduler_facts(spawner.scheduler_name).this_machine and host in (
        "127.0.0.1",
        "localhost",
        "[::1]",
    ):
        yield doubtful(
            "address",
            f"jobs are told to find the Hub at {url}: that is their own node, not this machine",
            'c.JupyterHub.hub_ip = "0.0.0.0"\n'
            'c.JupyterHub.hub_connect_ip = "<this machine\'s address in the cluster>"',
        )
    else:
        yield fine("address", f"jobs find the Hub at {url}")
    if site.app.cleanup_servers:
        yield doubtful(
            "restart",
            "when the Hub is stopped, it ends all servers",
            "c.JupyterHub.cleanup_servers = False",
        )
