"""Make the job script that a Hub with a configuration would submit, without a Hub."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jupyterhub.app import JupyterHub

from .base import BatchSpawnerBase

if TYPE_CHECKING:
    from collections.abc import Mapping


def spawner_for(config_file: str, user: str) -> BatchSpawnerBase:
    """Return the spawner that a Hub would make for a user. Raises ValueError for another kind."""
    app = JupyterHub()
    if config_file:
        app.load_config_file(config_file)
    cls = app.spawner_class
    if not issubclass(cls, BatchSpawnerBase):
        raise ValueError(
            f"c.JupyterHub.spawner_class is {cls.__name__}, which starts no batch job itself; "
            "name the spawner with --spawner"
        )
    return make(cls, app.config, user)


def make(cls: type[BatchSpawnerBase], config: Any, user: str) -> BatchSpawnerBase:
    """Make a spawner that is good for nothing but looking at its script."""
    hub = SimpleNamespace(
        public_host="", api_url="http://hub:8081/hub/api", base_url="/hub/", routespec="/hub/",
        url="http://hub:8081/hub/", server=SimpleNamespace(base_url="/hub/"),
    )  # fmt: skip
    owner = SimpleNamespace(
        name=user, escaped_name=user, url=f"/user/{user}/", id=1, settings={}, admin=False,
    )  # fmt: skip
    return cls(config=config, user=owner, hub=hub, orm_spawner=None, api_token="")


def script_of(spawner: BatchSpawnerBase, options: Mapping[str, object]) -> str:
    """Return the script of a user's job with these options."""
    spawner.user_options = dict(options)
    return asyncio.run(spawner._get_batch_script(**spawner.script_variables()))
