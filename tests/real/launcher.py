"""The launcher, installed on this machine as an administrator would, and removed again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from batchspawner.cli.sudoers import LAUNCHER
from batchspawner.launcher import CONFIGURATION
from tests.real.users import SEARCH, USERS, make_users, missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HUB, GROUP = "jhhub", "jhlaunch"
MEMBERS, OUTSIDER = USERS[:2], USERS[2]
FILES = {
    Path(LAUNCHER): (0o755, ("launcher", "program")),
    Path(CONFIGURATION): (0o644, ("launcher", "rules", "--group", GROUP)),
    Path("/etc/sudoers.d/batchspawner-tests"): (0o440, ("sudoers", "--group", GROUP, "--hub", HUB)),
}


def unavailable() -> str:
    """Return why the launcher cannot be installed here, or an empty text."""
    present = [str(file) for file in FILES if file.exists()]
    if present:
        return f"already installed: {', '.join(present)}"
    return missing("the launcher", "sudo", "visudo", "useradd", "/usr/bin/python3")


@contextlib.contextmanager
def installed(scheduler: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Allow the Hub's account to use the launcher, for one scheduler and the members of a group."""
    with alone():
        why = unavailable()
        assert not why, why
        with _account():
            try:
                _write_files(scheduler, environment)
                run("visudo", "-c")
                yield
            finally:
                for file in FILES:
                    file.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    Path(CONFIGURATION).parent.rmdir()


@contextlib.contextmanager
def _account() -> Iterator[None]:
    """Make the Hub's account, and the group of its users; remove both in the end."""
    make_users()
    try:
        run("groupadd", "-f", GROUP)
        run("useradd", "-m", "-s", "/bin/bash", HUB)
        for user in MEMBERS:
            run("usermod", "-a", "-G", GROUP, user)
        yield
    finally:
        run("userdel", "-r", HUB, check=False)
        run("groupdel", GROUP, check=False)


@contextlib.contextmanager
def rule_installed(
    scheduler: str, environment: Mapping[str, str], without: str = ""
) -> Iterator[None]:
    """Allow the Hub's account to run a scheduler's commands by the rule that is printed for that.

    `without` is a command that is left out of the rule.
    """
    file = Path("/etc/sudoers.d/batchspawner-tests")
    with alone():
        assert not file.exists()
        with _account():
            words = ("sudoers", "--group", GROUP, "--hub", HUB, "--scheduler", scheduler)
            text = run(sys.executable, "-m", "batchspawner.cli", *words, **environment)
            if without:
                text, removed = re.subn(rf"(= ){without}, |, {without}\b", r"\1", text)
                assert removed == 1, text
            try:
                file.touch(mode=0o440)
                file.write_text(text)
                run("visudo", "-c")
                yield
            finally:
                file.unlink(missing_ok=True)


def as_hub(*argv: str, text: str = "", **more: str) -> subprocess.CompletedProcess:
    """Run a command with the account of the Hub."""
    account = pwd.getpwnam(HUB)
    return subprocess.run(
        argv,
        input=text,
        text=True,
        capture_output=True,
        cwd="/",
        timeout=300,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": account.pw_dir, **more},
    )


def hubs_folder() -> Path:
    """Make a folder that the account of the Hub can reach, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="bsh", dir="/tmp"))
    shutil.chown(folder, HUB, HUB)
    return folder


def _write_files(scheduler: str, environment: Mapping[str, str]) -> None:
    for file, (mode, words) in FILES.items():
        more = ("--scheduler", scheduler) if words[1] == "rules" else ()
        file.parent.mkdir(mode=0o755, exist_ok=True)
        text = run(sys.executable, "-m", "batchspawner.cli", *words, *more, **environment)
        file.touch(mode=0o600)
        file.write_text(text)
        file.chmod(mode)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other run of the tests has the launcher installed."""
    with Path(tempfile.gettempdir(), "batchspawner-launcher-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*argv: str, check: bool = True, **more: str) -> str:
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": SEARCH, **more},
    )
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout
