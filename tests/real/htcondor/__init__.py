"""A real HTCondor pool of one machine for tests, unpacked into a folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import psutil

from tests.ports import free_port
from tests.real.users import make_users, missing

SCRIPT = Path(__file__).parent / "pool.sh"
STATES = {1: "PENDING", 2: "RUNNING", 5: "HELD"}


def unavailable() -> str:
    """Return why there can be no HTCondor here, or an empty text."""
    return missing("an HTCondor", "apt-get", "dpkg-deb", "patchelf", "sudo")


class HTCondorPool:
    """A pool with all daemons and 64 slots; the unpacked programs are kept between sessions."""

    programs = Path("/var/tmp/batchspawner-htcondor")

    def __init__(self) -> None:
        self.prefix = Path(tempfile.mkdtemp(prefix="bht", dir="/tmp"))
        self.prefix.chmod(0o755)
        self.settings = {
            "HTC_PREFIX": str(self.programs),
            "HTC_PORT": str(free_port()),
            "HTC_VAR": str(self.prefix / "var"),
        }

    def script(self, *words: str) -> None:
        done = subprocess.run(
            ["bash", SCRIPT, *words],
            env={**os.environ, **self.settings},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> HTCondorPool:
        make_users()
        if not (self.programs / "bin" / "condor_submit").exists():
            self.script("install")
        self.script("start")
        return self

    def stop(self) -> None:
        self.run("condor_rm", "-all", check=False)
        self.script("stop")
        subprocess.run(["rm", "-rf", self.prefix], check=True)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.programs}/bin:{os.environ['PATH']}"
        config = str(self.prefix / "var" / "condor_config")
        return {"PATH": path, "CONDOR_CONFIG": config, "LANG": "C.UTF-8"}

    def run(self, *argv: str, check: bool = True) -> str:
        """Run one of HTCondor's commands as root and return what it printed."""
        done = subprocess.run(
            argv, env=self.environment, cwd="/", capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def lose_node(self) -> None:
        """Kill the daemon that runs jobs, after all that it has started."""
        master = int((self.prefix / "var" / "master.pid").read_text())
        children = psutil.Process(master).children()
        startd = next(one for one in children if one.name() == "condor_startd")
        for one in (startd, *startd.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()

    def jobs(self) -> list[tuple[str, str, str]]:
        """Return id, owner and state of each job in the queue."""
        rows = self.run("condor_q", "-allusers", "-af", "ClusterId", "Owner", "JobStatus")
        words = [line.split() for line in rows.splitlines()]
        return [(job, owner, STATES.get(int(state), state)) for job, owner, state in words]
