"""A real PostgreSQL for tests, which asks for passwords."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from tests.ports import free_port
from tests.real.users import missing

TOOLS = max(map(str, Path("/usr/lib/postgresql").glob("*/bin")), default="")
PASSWORD = "a/pass@word"


def unavailable() -> str:
    """Return why there can be no PostgreSQL here, or an empty text."""
    if not TOOLS:
        return "no PostgreSQL here"
    if find_spec("psycopg") is None:
        return "psycopg is not installed"
    return missing("a PostgreSQL", "pg_dump", "psql")


class PostgreSQL:
    """A server of its own with an empty database of a Hub, on a port of this machine."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="bspg", dir="/tmp"))
        shutil.chown(self.folder, "postgres")

    @property
    def url(self) -> str:
        """The database as a Hub names it."""
        account = f"jupyterhub:{quote(PASSWORD, '')}"
        return f"postgresql+psycopg://{account}@127.0.0.1:{self.port}/jupyterhub"

    def start(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        shutil.chown(secret, "postgres")
        access = ("-A", "scram-sha-256", f"--pwfile={secret}")
        self._run("initdb", "-D", self._data, "-U", "postgres", *access)
        self.control("start")
        self.client("psql", "-c", f"create role jupyterhub login password '{PASSWORD}'")
        self.client("createdb", "--owner=jupyterhub", "jupyterhub")

    def stop(self) -> None:
        self.control("stop", check=False)
        shutil.rmtree(self.folder)

    def control(self, what: str, *, check: bool = True) -> None:
        """Start, stop or restart the server; it ends as if it had been killed."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        how = ("-o", options, "-l", str(self.folder / "log"), "-m", "immediate", "-w")
        self._run("pg_ctl", what, "-D", self._data, *how, check=check)

    def client(self, tool: str, *arguments: str) -> None:
        """Run a client of PostgreSQL as the administrator of the database."""
        command = [tool, "--host=127.0.0.1", f"--port={self.port}", "--username=postgres"]
        self.as_reader([*command, *arguments])

    @staticmethod
    def as_reader(command: str | list[str], folder: Path = Path("/")) -> None:
        """Run a command, or a line for a shell, with the password of this PostgreSQL."""
        done = subprocess.run(
            command,
            shell=isinstance(command, str),
            env={**os.environ, "PGPASSWORD": PASSWORD},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, tool: str, *arguments: str, check: bool = True) -> None:
        """Run a tool of PostgreSQL, which refuses to be root."""
        subprocess.run(
            [f"{TOOLS}/{tool}", *arguments],
            user="postgres",
            group="postgres",
            extra_groups=[],
            cwd="/",
            check=check,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
        )
