"""An account in which nothing is installed, and a shell of it that stays open."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import subprocess
from pathlib import Path

import psutil

from tests.hubs import wait_for
from tests.real.users import SEARCH

CLOSE_TIMEOUT_S = 60
ROOT_TIMEOUT_S = 600
"""Time for what root does, such as the removal of a home with an environment on a busy disk."""


class Newcomer:
    """An account of this machine that exists while a test runs."""

    def __init__(self) -> None:
        # A test that is repeated gets another account, whatever became of the first one.
        self.name = f"newcomer{secrets.token_hex(4)}"
        self._as_root("useradd", "-m", "-s", "/bin/bash", self.name)
        self.entry = pwd.getpwnam(self.name)
        self.home = Path(self.entry.pw_dir)

    def give(self, project: Path) -> Path:
        """Copy the project's repository to where this account may read it."""
        copy = self.home / "project.git"
        self._as_root("git", "clone", "-q", "--bare", str(project), str(copy))
        self._as_root("chown", "-R", f"{self.entry.pw_uid}:{self.entry.pw_gid}", str(copy))
        return copy

    def remove(self) -> None:
        """Kill all processes of the account, and remove it with its files."""
        wait_for(self._killed, 120, f"the end of all that {self.name} runs")
        # With --force it also goes if a process of it has not been waited for.
        self._as_root("userdel", "--force", "--remove", self.name)

    def _killed(self) -> bool:
        """Kill what runs as the account, and return whether nothing did."""
        left = self.processes()
        for process in left:
            # It may end at this moment, or start another one before it does.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return not left

    def processes(self) -> list[psutil.Process]:
        """Return the processes of this account, without zombies."""
        uid = self.entry.pw_uid
        found = psutil.process_iter(["uids", "status"])
        return [
            one
            for one in found
            if one.info["uids"].real == uid and one.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def _as_root(self, *argv: str) -> None:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": SEARCH},
            timeout=ROOT_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


class Shell:
    """A login shell of an account that runs one command after another."""

    def __init__(self, account: Newcomer) -> None:
        home, name = str(account.home), account.name
        # Where packages come from is a setting of the machine.
        inherited = {
            one: os.environ[one] for one in os.environ if one.startswith(("PIP_", "NODE_"))
        }
        environment = {
            **inherited,
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
        """End the shell and what it started; `Newcomer.remove` kills what does not end."""
        try:
            self.process.communicate("jobs -p | xargs -r kill; wait\n", timeout=CLOSE_TIMEOUT_S)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
