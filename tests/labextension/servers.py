"""A real Jupyter server with our extension, of one user on the embedded queue."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.hubs import wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTENSION = files("batchspawner.labextension")
EAT = "kept = []\nwhile True: kept.append(bytearray(10_000_000))"
_GROUPS = Path("/sys/fs/cgroup/memory")


@contextlib.contextmanager
def little_memory() -> Iterator[Path]:
    """Make a control group as a scheduler makes for a job; skip the test if that is not allowed."""
    group = _GROUPS / f"batchspawner-server-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("500M")
    except OSError:
        pytest.skip("control groups cannot be made here")
    yield group
    wait_for(lambda: _removed(group), 60, "the end of what was in the group")


def _removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            (_GROUPS / "cgroup.procs").write_text(pid)
        group.rmdir()
    return not group.exists()


class Server:
    """A server in a folder of its own; `kind` is ``jupyter_server``, ``jupyterlab``, ``notebook``.

    `variables` are added to its environment, such as those that a job finds.
    """

    def __init__(self, folder: Path, site, kind: str = "jupyter_server", **variables: str) -> None:
        self.folder, self.token, port = folder, secrets.token_hex(8), free_port()
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        # Without the question whether JupyterLab may fetch news.
        self.set("apputils-extension/notification", fetchNews="false")
        self.environment = {
            **os.environ,
            **site.environment,
            "HOME": str(folder),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_PATH": f"{EXTENSION}/share/jupyter",
            "JUPYTER_CONFIG_PATH": f"{EXTENSION}/etc/jupyter",
            "JUPYTER_TOKEN": self.token,
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "BATCHSPAWNER_CALL_DIR": str(folder / "calls"),
            "BATCHSPAWNER_SCHEDULER": "local",
            **variables,
        }
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        command = [sys.executable, "-m", kind, "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, f"--port={port}", "--port-retries=0"],
                cwd=self.work,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, 60, f"the Jupyter server; {self.log}")

    def _answers(self) -> bool:
        # It writes that it runs some time before it accepts connections.
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/api", timeout=60).status_code == 200
        return False

    def set(self, part: str, **values: str) -> None:
        """Write settings of one part of JupyterLab, as a user who chooses them."""
        file = self.folder / "settings" / "@jupyterlab" / f"{part}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))

    def ask(self, method: str, path: str, *, token: str | None = None, language: str = "", **more):
        """Send a request to our interface; return the answer."""
        headers = {"Authorization": f"token {self.token if token is None else token}"}
        headers["Accept-Language"] = language
        url = f"{self.url}/batchspawner/{path}"
        return requests.request(method, url, headers=headers, timeout=120, **more)

    def jobs(self) -> dict[str, dict]:
        """Return all rows by their ids."""
        answer = self.ask("GET", "jobs")
        assert answer.status_code == 200, answer.text
        return {row["id"]: row for row in answer.json()["jobs"]}

    def write_notebook(self, name: str, *cells: str) -> None:
        """Write a notebook of Python cells."""
        (self.work / name).write_text(json.dumps(notebook(*cells)))

    def run(self, script: str) -> subprocess.Popen:
        """Start a script of the user's in the server's environment."""
        file = self.work / f"{secrets.token_hex(4)}.py"
        file.write_text(script)
        return subprocess.Popen([sys.executable, str(file)], cwd=self.work, env=self.environment)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def notebook(*cells: str) -> dict:
    code = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": text,
        }
        for number, text in enumerate(cells)
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": code, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
