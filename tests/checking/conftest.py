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
from batchspawner.checking.site_check import collect
from tests.hubs import free_port

SERVER = "#!/bin/sh\nexec sleep 60\n"


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

    def findings(self) -> list[dict]:
        """Do in this process what the command does."""
        file = self.folder / "jupyterhub_config.py"
        file.write_text("\n".join(self.lines) + "\n")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            found = asyncio.run(collect(file, self.user, queue_timeout_s=float(self.timeout)))
        return json.loads(as_json(found))["findings"]

    def wrong(self) -> dict:
        """Return the one finding that is wrong."""
        (one,) = [one for one in self.findings() if one["verdict"] == "wrong"]
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
        assert json.loads(one.queue("query"))["jobs"] == []
    assert list(one.home.glob(".batchspawner-check*")) == []
