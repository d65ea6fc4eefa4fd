"""Accounts that own the jobs of the test clusters, and two that have no jobs."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

USERS = ("jhalice", "jhbob", "jhcarol")
STRANGER = "jhmallory"  # who never has a job
MATE = "jhmate"  # nor has this one, who is in the group of the first user
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def make_users() -> None:
    """Create the accounts that do not exist yet."""
    # Tests of two clusters may begin at the same time.
    with Path(tempfile.gettempdir(), "batchspawner-users.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in (*USERS, STRANGER, MATE):
            group = ["-g", USERS[0]] if name == MATE else []
            try:
                pwd.getpwnam(name)
            except KeyError:
                subprocess.run(["useradd", "-m", "-s", "/bin/bash", *group, name], check=True)


def missing(title: str, *tools: str) -> str:
    """Return why a cluster for several users cannot run here, or an empty text."""
    if os.geteuid() != 0:
        return f"{title} for several users needs root"
    absent = [tool for tool in tools if not shutil.which(tool, path=SEARCH)]
    return f"not installed: {', '.join(absent)}" if absent else ""
