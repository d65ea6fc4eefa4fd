"""Start real JupyterHubs for tests, and speak with them as a user or an administrator would."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import requests

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
c.Spawner.http_timeout = 40
c.Spawner.poll_interval = 3
c.JupyterHub.init_spawners_timeout = 1
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
"""


def free_port() -> int:
    """Return a port outside of what the system gives to connections meanwhile."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def proxy_command() -> str | None:
    """Return the path of configurable-http-proxy, or None where it is not installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("configurable-http-proxy", path=path)


def wait_for(look, seconds: float = 30.0, what: str = "it"):
    """Look again and again until something true is seen, and return it."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


class Hub:
    """One JupyterHub in a folder of its own; it can be killed and started again."""

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
        )
        (folder / "jupyterhub_config.py").write_text(frame + config)

    def start(self) -> Hub:
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
                    **self.environment,
                    "PATH": path,
                },
                **self._identity(),
            )
        wait_for(self._answers, 60, f"the Hub; its log is {self.log}")
        return self

    def _identity(self) -> dict:
        """Return what makes the Hub run with an account of its own, where it has one."""
        if not self.account:
            return {}
        entry = pwd.getpwnam(self.account)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/hub/api", timeout=5).ok
        return False

    def kill(self) -> None:
        """End the Hub as a crash would; the proxy lives on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the Hub and its proxy; the users' servers are the test's to stop."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise AssertionError(f"the Hub did not end: {self.tail()}") from None
        pid = self.folder / "proxy.pid"
        if pid.exists():
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid.read_text()), signal.SIGTERM)

    def api(self, method: str, path: str, *, token: str = "", **kwargs) -> requests.Response:
        headers = {"Authorization": f"token {token or self.token}"}
        url = f"{self.url}/hub/api/{path}"
        return requests.request(method, url, headers=headers, timeout=60, **kwargs)

    def add_users(self) -> None:
        self.api("POST", "users", json={"usernames": list(self.users)})

    def begin(self, user: str, options: dict | None = None) -> requests.Response:
        """Ask for a user's server and do not wait for it."""
        return self.api("POST", f"users/{user}/server", json=options or {})

    def server(self, user: str) -> dict | None:
        """Return what the Hub says of a user's server, or None where there is none."""
        model = self.api("GET", f"users/{user}").json()
        return model.get("servers", {}).get("")

    def wait_ready(self, user: str, seconds: float = 120.0) -> dict:
        def ready():
            server = self.server(user)
            if server is None:
                raise AssertionError(f"{user} has no server; {self.tail()}")
            return server if server["ready"] else None

        return wait_for(ready, seconds, f"the server of {user}; {self.log}")

    def wait_stopped(self, user: str, seconds: float = 30.0) -> None:
        wait_for(lambda: not self.server(user), seconds, f"the end of {user}'s server")

    def end(self, user: str) -> None:
        """Stop a server; before JupyterHub 6, one that is still starting has to start first."""

        def accepted():
            return self.api("DELETE", f"users/{user}/server").status_code in (202, 204, 404)

        wait_for(accepted, 90, f"the Hub to stop {user}'s server; {self.log}")
        self.wait_stopped(user)

    def kernels(self, user: str) -> requests.Response:
        """Ask the user's own server something, through the proxy."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.get(f"{self.url}/user/{user}/api/status", headers=headers, timeout=30)

    def state(self, user: str) -> dict:
        """Return what the Hub's database holds about a user's server."""
        query = (
            "select spawners.state from spawners join users on users.id = spawners.user_id "
            "where users.name = ? and spawners.name = ''"
        )
        with contextlib.closing(sqlite3.connect(self.folder / "hub.sqlite")) as db:
            row = db.execute(query, (user,)).fetchone()
        return json.loads(row[0]) if row and row[0] else {}

    def forget(self, user: str) -> None:
        """Make the stopped Hub's database one that never knew the user's server."""
        with contextlib.closing(sqlite3.connect(self.folder / "hub.sqlite")) as db, db:
            where = "where user_id in (select id from users where name = ?)"
            db.execute(f"update spawners set state = '{{}}', server_id = null {where}", (user,))

    def tail(self) -> str:
        return self.log.read_text()[-6000:]
