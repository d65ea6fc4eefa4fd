"""The job script of a server, without starting it: ``batchspawner templates render``."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.utils import maybe_future
from tornado import web

from ..schedulers import template_name
from ..templating import find_template
from .base import BatchSpawnerBase
from .failures.spawn_failure import SpawnFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session
    from traitlets.config import Config

    class HubApp(Protocol):
        """JupyterHub's application, as far as it is used here."""

        config: Config
        spawner_class: Callable[..., ConfiguredSpawner]

        def load_config_file(self, filename: str) -> None: ...


class PreviewError(Exception):
    """There is no job script; the text says why."""


class ConfiguredSpawner(Protocol):
    """A spawner of any class, as JupyterHub makes it."""

    user_options: dict[str, object]


@dataclass(frozen=True)
class Preview:
    """A job script, and the template or trait that it comes from."""

    script: str
    source: str


async def preview(
    config_file: str, user: str, groups: Sequence[str], options: Mapping[str, object]
) -> Preview:
    """Return the script for a user's options, as it would be submitted.

    Raises PreviewError for options that are refused and for a spawner without a job script.
    """
    with _spawner(config_file, user, groups) as spawner:
        spawner.user_options = dict(options)
        try:
            if hasattr(spawner, "take_options"):
                await maybe_future(spawner.take_options(spawner.user_options))
            child: object = getattr(spawner, "child_spawner", None) or spawner
            if not isinstance(child, BatchSpawnerBase):
                raise PreviewError(f"{type(child).__name__} has no job script")
            if child.chosen is None:
                # As in a start with JupyterHub < 5.3.
                await child.take_options(child.user_options)
            script = await child._get_batch_script(**child.script_variables())
        except web.HTTPError as error:
            raise PreviewError(error.log_message) from error
        except SpawnFailure as error:
            raise PreviewError(str(error)) from error
        except KeyError as error:
            raise PreviewError(f"unknown here: {error}") from error
        return Preview(script, _source(child))


def _source(child: BatchSpawnerBase) -> str:
    if child.batch_script or not child.scheduler_name:
        return f"{type(child).__name__}.batch_script"
    name = template_name(child.scheduler_name)
    return find_template(name, child.template_folders, "spawner")[0]


@contextmanager
def _spawner(config_file: str, name: str, groups: Sequence[str]) -> Iterator[ConfiguredSpawner]:
    """Yield the configured spawner as the Hub would make it, with a database in memory."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    app: HubApp = JupyterHub(log_level="WARN")
    app.load_config_file(config_file)
    db: Session = orm.new_session_factory("sqlite:///:memory:")()
    try:
        rows: list[object] = [orm.Group(name=group) for group in groups]
        owner: object = orm.User(name=name, groups=rows)
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
            groups=rows,
        )
        yield app.spawner_class(
            config=app.config, user=user, hub=hub, orm_spawner=row, oauth_client_id="client"
        )
    finally:
        db.close()
        cast("Engine", db.get_bind()).dispose()
