"""A real OAR for tests, of Debian's packages; one at a time on a machine."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path

from tests.ports import free_port
from tests.real.users import make_users, missing

SCRIPT = Path(__file__).parent / "cluster.sh"


def unavailable() -> str:
    """Return why there can be no OAR here, or an empty text."""
    return missing("an OAR", "oar-server", "oarsub", "psql", "sshd", "sudo")


class OARCluster:
    """A server with a database in a folder of its own, and this machine as its only node."""

    def __init__(self) -> None:
        self.prefix = Path(tempfile.mkdtemp(prefix="boa", dir="/tmp"))
        # Not that of a database that a killed session has left.
        self._port = free_port()
        self._turn = -1

    @property
    def _settings(self) -> dict[str, str]:
        return {"OAR_PREFIX": str(self.prefix), "OAR_DB_PORT": str(self._port)}

    def script(self, word: str) -> None:
        # Not captured: the daemons would keep the pipe open.
        log = self.prefix / "script.log"
        with log.open("ab") as file:
            done = subprocess.run(
                ["bash", SCRIPT, word],
                env={**os.environ, **self._settings},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=300,
            )
        assert done.returncode == 0, log.read_text()

    def start(self) -> OARCluster:
        make_users()
        lock = Path(tempfile.gettempdir(), "batchspawner-oar.lock")
        self._turn = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._turn, fcntl.LOCK_EX)  # until the end of the other tests' OAR
        try:
            self.script("start")
        except BaseException:
            os.close(self._turn)
            raise
        return self

    def stop(self) -> None:
        try:
            for job_id, _, _ in self.jobs():
                self.run("oardel", job_id, check=False)
            self.script("stop")
        finally:
            os.close(self._turn)
        subprocess.run(["rm", "-rf", self.prefix], check=True)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LANG": "C.UTF-8"}

    def run(self, *argv: str, check: bool = True) -> str:
        """Run one of OAR's commands as root and return what it printed."""
        done = subprocess.run(
            argv,
            env={**self.environment, "PWD": "/"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        """Return id, owner and state of each job that has not ended."""
        listing = json.loads(self.run("oarstat", "-J").strip() or "{}")
        states = {"Running": "RUNNING"}
        return [
            (job_id, job["owner"], states.get(job["state"], job["state"]))
            for job_id, job in listing.items()
        ]
