"""A small site on the embedded queue, to be broken on purpose."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchspawner.checking.findings import as_json
from batchspawner.checking.site_check import Request, collect
from tests.hubs import wait_for
from tests.ports import free_port

SERVER = f"""#!{sys.executable}
import http.server, json, os
from urllib.parse import urlsplit


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            # As real servers: without the scopes, nobody may enter.
            status = 200 if json.loads(os.environ["JUPYTERHUB_OAUTH_ACCESS_SCOPES"]) else 403
        except ValueError:
            status = 500
        body = b"a page"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


where = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.HTTPServer((where.hostname, where.port), Page).serve_forever()
"""
"""A small server that starts at once."""


@dataclass
class Place:
    """A folder with a configuration, and what stands on the PATH of Hub and jobs."""

    folder: Path
    port: int = field(default_factory=free_port)
    timeout: str = "30"
    user: str = field(default_factory=getpass.getuser)

    def __post_init__(self) -> None:
        self.bin, self.home = self.folder / "bin", self.folder / "home"
        self.bin.mkdir()
        self.home.mkdir()
        self.program("jupyterhub-singleuser", SERVER)
        self.path = f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.lines = [
            "c = get_config()  # noqa",
            f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{self.port}'",
            "c.JupyterHub.cleanup_servers = False",
            "c.JupyterHub.spawner_class = 'localqueue'",
            f"c.LocalQueueSpawner.req_homedir = {str(self.home)!r}",
            f"c.LocalQueueSpawner.cmd = [{str(self.bin / 'jupyterhub-singleuser')!r}]",
        ]

    def program(self, name: str, text: str) -> Path:
        """Write a program that stands first on PATH."""
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": self.path,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "BATCHSPAWNER_QUEUE_DIR": str(self.folder / "queue"),
            "BATCHSPAWNER_QUEUE_GRACE": "1",
        }

    def call(self, *words: str) -> subprocess.CompletedProcess:
        """Run `batchspawner check` as an administrator would."""
        (self.folder / "jupyterhub_config.py").write_text("\n".join(self.lines) + "\n")
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "batchspawner.cli",
                "check",
                "--user",
                self.user,
                "--patience",
                self.timeout,
                *words,
            ],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def findings(self, **more) -> list[dict]:
        """Do in this process what the command does."""
        file = self.folder / "jupyterhub_config.py"
        file.write_text("\n".join(self.lines) + "\n")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            found = asyncio.run(collect(Request(file, self.user, float(self.timeout), **more)))
        return json.loads(as_json(found))["findings"]

    def wrong(self, *lines: str, **more) -> dict:
        """Return the one finding that is wrong with these lines in the configuration."""
        self.lines += lines
        (one,) = [one for one in self.findings(**more) if one["verdict"] == "wrong"]
        return one

    def queue(self, *words: str, check: bool = True) -> str:
        return subprocess.run(
            [sys.executable, "-m", "batchspawner.localqueue", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
        ).stdout


@pytest.fixture
def place(tmp_path):
    one = Place(tmp_path)
    yield one
    if (one.folder / "queue").exists():
        # A cancelled job may still be about to end.
        wait_for(lambda: not json.loads(one.queue("query"))["jobs"], 60, "the end of all jobs")
    assert list(one.home.glob(".batchspawner-check*")) == []
