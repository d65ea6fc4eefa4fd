"""Preview of the job script of a server, without starting it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.utils import maybe_future
from tornado import web

from ..templating import find_template
from .failures.spawn_failure import SpawnFailure
from .hub.jupyterhub import HubSpawner, innermost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session
    from traitlets.config import Config

    class HubApp(Protocol):
        """JupyterHub's application, as far as it is used here."""

        config: Config
        spawner_class: Callable[..., PreviewedSpawner]

        def load_config_file(self, filename: str) -> None: ...

    class OrmUser(Protocol):
        """Row of a user in the Hub's database."""

        groups: list[object]


class PreviewError(Exception):
    """A server for which there is no job script."""


@dataclass(frozen=True)
class Preview:
    """A job script, and the template or trait that it comes from."""

    script: str
    source: str


class PreviewedSpawner(HubSpawner, Protocol):
    """What the preview uses of a spawner, or of what wraps it."""

    batch_script: str
    scheduler_name: str
    template_folders: tuple[str, ...]
    user_options: dict[str, Any]

    def take_options(self, given: object) -> object: ...

    def script_variables(self) -> dict[str, Any]: ...

    async def _get_batch_script(self, **subvars: Any) -> str: ...


async def preview(
    config_file: str, user: str, groups: Sequence[str], options: Mapping[str, Any]
) -> Preview:
    """Return the script for a user's options, as it would be submitted.

    Raises PreviewError for options that are refused and for a spawner without a job script.
    """
    with _spawner(config_file, user, groups) as spawner:
        spawner.user_options = dict(options)
        try:
            if hasattr(spawner, "take_options"):
                await maybe_future(spawner.take_options(spawner.user_options))
            child = cast("PreviewedSpawner", innermost(spawner))
            if not hasattr(child, "script_variables"):
                raise PreviewError(f"{type(child).__name__} has no job script")
            script = await child._get_batch_script(**child.script_variables())
        except web.HTTPError as error:
            raise PreviewError(error.log_message) from error
        except SpawnFailure as error:
            raise PreviewError(str(error)) from error
        except KeyError as error:
            raise PreviewError(f"unknown here: {error}") from error
        return Preview(script, _source(child))


def _source(child: PreviewedSpawner) -> str:
    if child.batch_script or not child.scheduler_name:
        return f"{type(child).__name__}.batch_script"
    name = f"{child.scheduler_name}.j2"
    return find_template(name, child.template_folders, "spawner")[0]


@contextmanager
def _spawner(config_file: str, name: str, groups: Sequence[str]) -> Iterator[PreviewedSpawner]:
    """Yield the configured spawner as the Hub would make it, with a database in memory."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    app: HubApp = JupyterHub(log_level="WARN")
    app.load_config_file(config_file)
    db: Session = orm.new_session_factory("sqlite:///:memory:")()
    try:
        owner: OrmUser = orm.User(name=name, groups=[orm.Group(name=group) for group in groups])
        row: object = orm.Spawner(name="", user=owner, server=orm.Server(base_url=f"/user/{name}/"))
        db.add_all([owner, row])
        db.commit()
        url = "http://127.0.0.1:8081/hub/"
        hub = SimpleNamespace(
            public_host="", api_url=f"{url}api", base_url="/hub/", routespec="/hub/", url=url
        )
        user = SimpleNamespace(
            name=name,
            escaped_name=name,
            url=f"/user/{name}/",
            id=1,
            settings={},
            admin=False,
            groups=owner.groups,
        )
        yield app.spawner_class(
            config=app.config, user=user, hub=hub, orm_spawner=row, oauth_client_id="client"
        )
    finally:
        db.close()
        cast("Engine", db.get_bind()).dispose()
