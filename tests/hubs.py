"""Real JupyterHubs for tests, which use them as users and administrators do."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import requests

from tests.ports import free_port

# For `make coverage`: what measures a process, in Hubs and in the jobs that they start.
MEASURING = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}

FRAME = """
import sys
c = get_config()  # noqa
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.log_level = "DEBUG"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users = {users!r}
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "services": ["tests"],
     "scopes": ["admin:users", "admin:servers", "tokens", "list:users",
                "access:servers", "read:users", "read:metrics"]}}
]
c.Spawner.http_timeout = 240
c.Spawner.poll_interval = 3
c.JupyterHub.init_spawners_timeout = 1
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.Spawner.environment = {measuring!r}
"""


REQUEST_TIMEOUT_S = 120


def proxy_command() -> str | None:
    """Return the path of configurable-http-proxy, or None if it is not installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("configurable-http-proxy", path=path)


POLL_INTERVAL_S = 0.1

BUSY_FACTOR = 6
"""How many times longer than its bound a test waits: bounds are those of an idle machine."""


def wait_for(look, seconds: float = 30.0, what: str = "it"):
    """Call a function until it returns something true, and return that.

    A bound costs time only where a test fails, so it is never a measure of speed.
    """
    bound = BUSY_FACTOR * seconds
    end = time.monotonic() + bound
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {bound:.0f} s for {what}"
        time.sleep(POLL_INTERVAL_S)


class Hub:
    """One JupyterHub in a folder of its own; it can be killed and started again."""

    running: ClassVar[set[Hub]] = set()
    """All Hubs that have been started and not stopped."""

    def __init__(
        self, folder: Path, config: str, users: tuple[str, ...], **environment: str
    ) -> None:
        self.folder, self.users = folder, users
        self.password, self.token = secrets.token_hex(8), secrets.token_hex(16)
        self.port, self.hub_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "hub.log"
        self.environment = environment
        self.python = sys.executable
        self.account = ""
        self.process: subprocess.Popen | None = None
        proxy = proxy_command()
        assert proxy, "configurable-http-proxy is not installed: run `make proxy`"
        frame = FRAME.format(
            port=self.port,
            hub_port=self.hub_port,
            proxy_port=free_port(),
            proxy=proxy,
            folder=folder,
            password=self.password,
            users=set(users),
            token=self.token,
            measuring=MEASURING,
        )
        (folder / "jupyterhub_config.py").write_text(frame + config)

    def start(self) -> Hub:
        """Start the Hub, and wait until it answers; raise AssertionError if it does not."""
        Hub.running.add(self)
        binaries = str(Path(self.python).parent)
        path = os.pathsep.join([binaries, self.environment.get("PATH", os.environ["PATH"])])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "jupyterhub", "-f", "jupyterhub_config.py"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    "HOME": os.environ.get("HOME", "/"),
                    "LANG": "C.UTF-8",
                    **MEASURING,
                    **self.environment,
                    "PATH": path,
                },
                **self._identity(),
            )
        wait_for(self._answers, 60, f"the Hub; its log is {self.log}")
        return self

    def _identity(self) -> dict:
        """Return the arguments by which the Hub runs as its own account, if it has one."""
        if not self.account:
            return {}
        entry = pwd.getpwnam(self.account)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/hub/api", timeout=REQUEST_TIMEOUT_S).ok
        return False

    def kill(self) -> None:
        """Kill the Hub, as a crash would; its proxy goes on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the Hub and its proxy; tests stop the servers of users before."""
        Hub.running.discard(self)
        try:
            if self.process is not None:
                self._end()
        finally:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.kill(int((self.folder / "proxy.pid").read_text()), signal.SIGTERM)

    def _end(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30 * BUSY_FACTOR)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"the Hub did not end: {self.tail()}") from None

    def api(self, method: str, path: str, *, token: str = "", **kwargs) -> requests.Response:
        headers = {"Authorization": f"token {token or self.token}"}
        url = f"{self.url}/hub/api/{path}"
        return requests.request(method, url, headers=headers, timeout=REQUEST_TIMEOUT_S, **kwargs)

    def add_users(self) -> None:
        self.api("POST", "users", json={"usernames": list(self.users)})

    def begin(self, user: str, options: dict | None = None) -> requests.Response:
        """Request a user's server, and do not wait for it."""
        return self.api("POST", f"users/{user}/server", json=options or {})

    def server(self, user: str, name: str = "") -> dict | None:
        """Return the Hub's model of a user's server, or None if there is no server."""
        model = self.api("GET", f"users/{user}").json()
        return model.get("servers", {}).get(name)

    def wait_ready(self, user: str, seconds: float = 120.0) -> dict:
        def ready():
            server = self.server(user)
            if server is None:
                raise AssertionError(f"{user} has no server; {self.tail()}")
            return server if server["ready"] else None

        return wait_for(ready, seconds, f"the server of {user}; {self.log}")

    def wait_stopped(self, user: str, seconds: float = 30.0, *, name: str = "") -> None:
        wait_for(lambda: not self.server(user, name), seconds, f"the end of {user}'s server {name}")

    def end(self, user: str, name: str = "") -> None:
        """Stop a server; before JupyterHub 6, one that is still starting has to start first."""
        path = f"users/{user}/servers/{name}" if name else f"users/{user}/server"

        def accepted():
            return self.api("DELETE", path).status_code in (202, 204, 404)

        wait_for(accepted, 90, f"the Hub to stop {user}'s server {name}; {self.log}")
        self.wait_stopped(user, name=name)

    def kernels(self, user: str) -> requests.Response:
        """Request the status of the user's own server, through the proxy."""
        return self.through_proxy(f"user/{user}/api/status")

    def through_proxy(self, path: str) -> requests.Response:
        """Request a page of a server as somebody who may see it."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.get(f"{self.url}/{path}", headers=headers, timeout=REQUEST_TIMEOUT_S)

    def state(self, user: str) -> dict:
        """Return the state of a user's server in the Hub's database."""
        query = (
            "select spawners.state from spawners join users on users.id = spawners.user_id "
            "where users.name = ? and spawners.name = ''"
        )
        with contextlib.closing(sqlite3.connect(self.folder / "hub.sqlite")) as db:
            row = db.execute(query, (user,)).fetchone()
        return json.loads(row[0]) if row and row[0] else {}

    def states_of_job(self, site, user: str) -> set[str]:
        """Return the state of the job of a user's server, or nothing if the queue lacks it."""
        own = self.state(user).get("job_id")
        return {state for job_id, _, state in site.jobs() if job_id == own}

    def forget(self, user: str) -> None:
        """Remove a user's server from the database of the stopped Hub."""
        with contextlib.closing(sqlite3.connect(self.folder / "hub.sqlite")) as db, db:
            where = "where user_id in (select id from users where name = ?)"
            db.execute(f"update spawners set state = '{{}}', server_id = null {where}", (user,))

    def renew(self) -> None:
        """Start again with an empty database, whatever state the Hub is in."""
        with contextlib.suppress(AssertionError):
            self.stop()
        (self.folder / "hub.sqlite").unlink(missing_ok=True)
        self.start()
        self.add_users()

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text()[-6000:]
