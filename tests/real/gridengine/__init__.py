"""A real Grid Engine for tests, from Debian's packages, unpacked into a folder."""

from __future__ import annotations

import os
import random
import re
import subprocess
import tempfile
from pathlib import Path

from tests.ports import free_port
from tests.real.users import make_users, missing

SCRIPT = Path(__file__).parent / "cluster.sh"


def unavailable() -> str:
    """Return why there can be no Grid Engine here, or an empty text."""
    return missing("a Grid Engine", "apt-get", "dpkg-deb", "sudo")


def free_groups() -> str:
    """Return group numbers that mark the processes of one cluster's jobs.

    Where two clusters use the same, the end of a job in one ends a job in the other.
    """
    first = random.randrange(100_000, 1_000_000, 100)
    return f"{first}-{first + 99}"


class GridEngineCluster:
    """A cell in a folder of its own, with one queue, all.q, on this machine."""

    def __init__(self) -> None:
        self.prefix = Path(tempfile.mkdtemp(prefix="bge", dir="/tmp"))
        self.prefix.chmod(0o755)
        self.settings = {
            "GE_PREFIX": str(self.prefix),
            "GE_PORT": str(free_port()),
            "GE_EXECD_PORT": str(free_port()),
            "GE_HOST": "localhost",
            "GE_GIDS": free_groups(),
        }

    def script(self, *words: str) -> str:
        done = subprocess.run(
            ["bash", SCRIPT, *words],
            env={**os.environ, **self.settings},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> GridEngineCluster:
        make_users()
        self.script("start")
        return self

    def stop(self) -> None:
        self.script("wipe")
        subprocess.run(["rm", "-rf", self.prefix], check=True)
        # The link that let Debian's programs find their helpers.
        link = Path("/usr/lib/gridengine")
        if link.is_symlink() and not link.exists():
            link.unlink()

    @property
    def environment(self) -> dict[str, str]:
        found = dict(re.findall(r"(\w+)=(\S+)", self.script("env")))
        path = f"{self.prefix}/bin/lx-amd64:{os.environ['PATH']}"
        return {**found, "PATH": path, "LANG": "C.UTF-8"}

    def run(self, *argv: str) -> str:
        """Run one of Grid Engine's commands as root and return what it printed."""
        done = subprocess.run(
            argv, env=self.environment, cwd="/", capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        """Return id, owner and state of each job that has not ended."""
        rows = [line.split() for line in self.run("qstat", "-u", "*").splitlines()[2:]]
        return [(row[0], row[3], "RUNNING" if row[4] in "rt" else row[4]) for row in rows]
