"""Make an account for a person who has nothing installed, with a shell that goes on and on."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import psutil

from tests.hubs import wait_for
from tests.real.users import SEARCH


class Newcomer:
    """An account of this machine, for as long as a test runs."""

    def __init__(self) -> None:
        self.name = f"newcomer{os.getpid()}"
        self._as_root("useradd", "-m", "-s", "/bin/bash", self.name)
        self.entry = pwd.getpwnam(self.name)
        self.home = Path(self.entry.pw_dir)

    def give(self, project: Path) -> Path:
        """Put a copy of the project's history where this account may read it."""
        copy = self.home / "project.git"
        self._as_root("git", "clone", "-q", "--bare", str(project), str(copy))
        self._as_root("chown", "-R", f"{self.entry.pw_uid}:{self.entry.pw_gid}", str(copy))
        return copy

    def remove(self) -> None:
        """End what the account still runs, and remove it with all that it has."""
        for process in self.processes():
            process.kill()
        wait_for(lambda: not self.processes(), 20, f"the end of all that {self.name} runs")
        self._as_root("userdel", "-r", self.name)

    def processes(self) -> list[psutil.Process]:
        """Return what runs as this account, but for what has ended and nobody asked about."""
        uid = self.entry.pw_uid
        found = psutil.process_iter(["uids", "status"])
        return [
            one
            for one in found
            if one.info["uids"].real == uid and one.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def _as_root(self, *argv: str) -> None:
        done = subprocess.run(
            argv, capture_output=True, text=True, env={**os.environ, "PATH": SEARCH}, timeout=60
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


class Shell:
    """A shell of an account as after a login, which goes on from command to command."""

    def __init__(self, account: Newcomer) -> None:
        home, name = str(account.home), account.name
        # How packages are fetched is the machine's, not the newcomer's.
        kept = {one: os.environ[one] for one in os.environ if one.startswith(("PIP_", "NODE_"))}
        environment = {
            **kept,
            "HOME": home,
            "USER": name,
            "LOGNAME": name,
            "SHELL": "/bin/bash",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
        }
        self.process = subprocess.Popen(
            ["bash", "--norc", "-m"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=home,
            start_new_session=True,
            umask=0o022,
            env=environment,
            user=account.entry.pw_uid,
            group=account.entry.pw_gid,
            extra_groups=[],
        )

    def run(self, command: str) -> str:
        """Run a command and return what it printed; it must succeed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f'{command}\necho "=== $?"\n')
        self.process.stdin.flush()
        printed = ""
        for line in self.process.stdout:
            if line.startswith("=== "):
                assert line == "=== 0\n", f"{command}\n{printed}"
                return printed
            printed += line
        raise AssertionError(f"the shell ended in: {command}\n{printed}")

    def close(self) -> None:
        """Leave the shell, and what it started with it."""
        self.process.communicate("jobs -p | xargs -r kill; wait\n", timeout=60)
