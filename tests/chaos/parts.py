"""The parts of a whole system for chaos: JupyterHub, its proxy, a scheduler, a user's program."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.databases import DATABASES
from tests.chaos.machine import Disk, Network, clock
from tests.chaos.queues import QUEUES
from tests.chaos.seen import Servers
from tests.chaos.work import Work
from tests.hubs import proxy_command
from tests.ports import free_port
from tests.sabotage import Liars
from tests.sites import start_hub

if TYPE_CHECKING:
    from tests.hubs import Hub

CONFIG = """
import os
os.environ["PATH"] = {folder!r} + os.pathsep + os.environ["PATH"]
c.JupyterHub.allow_named_servers = True
c.JupyterHub.load_roles[0]["scopes"].append("proxy")
c.Spawner.cmd = [{python!r}, {program!r}, {scheduler!r}]
c.Spawner.args = []
c.Spawner.http_timeout = 60
c.BatchSpawnerBase.orphan_grace = 5
# How often JupyterHub compares the proxy's routes with its servers.
c.JupyterHub.last_activity_interval = 15
c.JupyterHub.hub_bind_url = {hub_url!r}
c.Spawner.hub_connect_url = {url!r}
c.JupyterHub.db_url = {database!r}
# Only the Hub has the clock that is wrong.
c.ConfigurableHTTPProxy.command = ["env", "-u", "LD_PRELOAD", {proxy!r}]
"""


class Parts:
    """One Hub, one proxy, one scheduler, two users with two servers each, a program with work."""

    def __init__(self, folder: Path, kind: str, database: str) -> None:
        folder.mkdir()
        with contextlib.ExitStack() as started:
            self._start(folder, kind, database, started)
            self.started = started.pop_all()

    def _start(self, folder: Path, kind: str, database: str, started: contextlib.ExitStack) -> None:
        """Start everything, and note how it is ended."""
        # Users, who run commands and have their files here, may not look into folders of tests.
        place = Path(tempfile.mkdtemp(prefix="chaos", dir="/tmp"))
        started.callback(shutil.rmtree, place)
        place.chmod(0o755)
        self.disk = Disk(place / "disk")
        started.callback(self.disk.close)
        self.database = DATABASES[database](self.disk.folder / "hub.sqlite")
        started.callback(self.database.close)
        self.site = QUEUES[kind](self.disk.folder / "site")
        started.callback(self.site.stop)
        self.site.start()
        binaries = str(Path(sys.executable).parent)
        commands = self.site.environment.get("PATH", os.environ["PATH"])
        path = os.pathsep.join([binaries, commands])
        self.liars = Liars(place / "bin", path, *self.site.commands)
        self.network = Network(free_port())
        started.callback(self.network.close)
        self.hub = self._start_hub(folder / "hub")
        started.callback(self.hub.stop)
        self.servers = Servers(self.hub, self.database)
        calls, log = self.disk.folder / "calls", folder / "work.log"
        self.work = Work(self.site, place / "work", calls, self.liars.path, log)
        started.callback(self.work.kill)

    def _start_hub(self, folder: Path) -> Hub:
        config = CONFIG.format(
            folder=str(self.liars.folder),
            python=sys.executable,
            program=str(Path(__file__).with_name("server.py")),
            scheduler=self.site.name,
            hub_url=f"http://127.0.0.1:{self.network.target}",
            url=self.network.url,
            database=self.database.url,
            proxy=proxy_command(),
        )
        config += self.site.more_config + self.database.more_config
        return start_hub(self.site, folder, config, **clock("+0"))
