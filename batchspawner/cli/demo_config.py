"""Configuration of the JupyterHub of `batchspawner demo`."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from typing import TYPE_CHECKING

from batchspawner import use_pages
from batchspawner.cli.demo import NOTEBOOK, PROXY_PID_FILE, fill_the_queue_once

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
c.ConfigurableHTTPProxy.pid_file = f"{folder}/{PROXY_PID_FILE}"

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = settings["password"]
c.Authenticator.allowed_users = {settings["user"]}
c.Authenticator.admin_users = {settings["user"]}

use_pages(c)
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.ProfilesSpawner.profiles = [
    {
        "display_name": "A small server",
        "description": "One core, for eight hours.",
        "default": True,
        "spawner": "localqueue",
        "override": {"req_nprocs": "1", "req_runtime": "8:00:00"},
    },
    {
        "display_name": "A server of your own size",
        "description": "A form that knows what is free.",
        "spawner": "localqueue",
        "override": {"resource_form": True},
    },
]
# A form does not ask for what a profile sets; these are what it starts with.
c.LocalQueueSpawner.req_nprocs = "2"
c.LocalQueueSpawner.req_runtime = "1:00:00"
c.LocalQueueSpawner.req_homedir = folder
c.Spawner.notebook_dir = f"{folder}/notebooks"
c.Spawner.default_url = f"/lab/tree/{NOTEBOOK}"
c.Spawner.environment = {
    # JupyterLab finds installed extensions by itself, but not those in a folder of sources.
    "JUPYTER_PATH": f"{folder}/share/jupyter:{labextension}/share/jupyter",
    "JUPYTER_CONFIG_PATH": f"{folder}/etc/jupyter:{labextension}/etc/jupyter",
    # Cells, functions, kernels and clusters use the queue of the demo, also next to a cluster.
    "BATCHSPAWNER_SCHEDULER": "local",
    "BATCHSPAWNER_QUEUE_DIR": os.environ["BATCHSPAWNER_QUEUE_DIR"],
}
c.Spawner.args = ["--allow-root"] if settings["root"] else []

c.Spawner.pre_spawn_hook = lambda _: fill_the_queue_once()
