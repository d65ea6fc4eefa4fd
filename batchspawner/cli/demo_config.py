"""Configuration of the JupyterHub of `batchspawner demo`."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from typing import TYPE_CHECKING

from batchspawner import use_pages

if TYPE_CHECKING:
    from traitlets.config import Config

    from batchspawner.cli.demo import Settings

settings: Settings = json.loads(os.environ["BATCHSPAWNER_DEMO"])
folder = settings["folder"]
labextension = files("batchspawner.labextension")

c: Config = get_config()  # type: ignore[name-defined]  # noqa: F821
c.JupyterHub.bind_url = f"http://127.0.0.1:{settings['port']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings['hub_port']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings['proxy_port']}"
c.JupyterHub.db_url = f"sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie_secret"
# Show the progress at once instead of a page that loads for up to ten seconds.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
c.ConfigurableHTTPProxy.command = [settings["proxy"]]
c.ConfigurableHTTPProxy.pid_file = f"{folder}/proxy.pid"

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = settings["password"]
c.Authenticator.allowed_users = {settings["user"]}
c.Authenticator.admin_users = {settings["user"]}

use_pages(c)
c.JupyterHub.spawner_class = "localqueue"
c.LocalQueueSpawner.req_homedir = folder
c.LocalQueueSpawner.req_runtime = "8:00:00"
c.Spawner.notebook_dir = f"{folder}/notebooks"
c.Spawner.default_url = "/lab"
# JupyterLab finds installed extensions by itself, but not those in a folder of sources.
c.Spawner.environment = {
    "JUPYTER_PATH": f"{labextension}/share/jupyter",
    "JUPYTER_CONFIG_PATH": f"{labextension}/etc/jupyter",
}
c.Spawner.args = ["--allow-root"] if settings["root"] else []
