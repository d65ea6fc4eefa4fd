"""Keep this side's copy of a cluster's connection files, in an IPython profile of its own.

Each connection has a folder with a record of all that it makes; whoever holds the lock in it
lives. So another process can clean up after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ssh import end_forward, end_master
from .folders import PrivateFolder, ipython_folder, write_private

if TYPE_CHECKING:
    from ..ssh import Ssh
    from .remote_files import Endpoint

_LOCK = "lock"
_MARK = "batchspawner-connection"
_MANY = 1000
_NEW = 60.0


class LinkFolder(PrivateFolder):
    """Hold what is known of one connection, and its profile."""

    kind = "connections"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.profile = Path()
        self.sockets = Path()
        self._values: dict[str, Any] = {}
        self._lock = -1

    def begin(self, host: str, where: str, name: str) -> None:
        """Lock the folder, and make a profile of a free name and a place for the socket."""
        self.lock()
        self.profile = self._free_profile(name)
        self._update(host=host, where=where, profile=str(self.profile))
        # A socket's path is short: a home folder may be too long for it.
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        self.sockets = Path(tempfile.mkdtemp(prefix="bs-", dir=base if _usable(base) else None))
        self._update(sockets=str(self.sockets))

    def note(self, ssh: Ssh, forwards: dict[Endpoint, int]) -> None:
        """Remember what a crash would leave."""
        ends = [[port, end.host, end.port] for end, port in forwards.items()]
        self._update(socket=str(ssh.socket), shared=ssh.shared, forwards=ends)

    def put(self, name: str, info: dict[str, Any]) -> Path:
        """Write a connection file into the profile."""
        return write_private(self.profile / "security" / name, json.dumps(info, indent=1))

    def lock(self) -> bool:
        """Lock the folder; False where a living process has it."""
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.unlock()
            return False
        return True

    @property
    def is_new(self) -> bool:
        """Whether its maker may be about to lock it."""
        with contextlib.suppress(FileNotFoundError):
            return not self.remembered() and time.time() - self.path.stat().st_mtime < _NEW
        return True

    def unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def end(self) -> None:
        """Remove all that the connection has made on this machine."""
        known = self.remembered()
        profile = Path(known.get("profile") or self.path)
        if _owner(profile) == self.path.name:
            shutil.rmtree(profile, ignore_errors=True)
        if known.get("sockets"):
            shutil.rmtree(known["sockets"], ignore_errors=True)
        self.remove()
        self.unlock()

    def _free_profile(self, name: str) -> Path:
        """Make the first profile of such a name that does not exist."""
        parent = ipython_folder()
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, _MANY):
            path = parent / f"profile_{name if number == 1 else f'{name}-{number}'}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
                write_private(path / _MARK, self.path.name)
                (path / "security").mkdir(mode=0o700)
                return path
        raise FileExistsError(f"{parent} has {_MANY} profiles named {name}")

    def _update(self, **values: object) -> None:
        self._values.update(values)
        self.remember(self._values)


async def clean() -> list[str]:
    """End and remove what connections of crashed processes have left; return their names."""
    cleaned = []
    for folder in LinkFolder.all():
        if not folder.is_new and folder.lock():
            known = folder.remembered()
            await _end_ssh(known)
            folder.end()
            cleaned.append(f"{known.get('host', '?')} {known.get('where', '?')}")
    return cleaned


async def _end_ssh(known: dict[str, Any]) -> None:
    path = known.get("socket", "")
    if not path or not Path(path).exists():
        return
    if not known.get("shared"):
        await end_master(Path(path))
        return
    for port, host, remote in known.get("forwards", ()):
        await end_forward(Path(path), port, host, remote)


def _owner(profile: Path) -> str:
    try:
        return (profile / _MARK).read_text()
    except OSError:
        return ""


def _usable(folder: str) -> bool:
    return bool(folder) and os.access(folder, os.W_OK) and len(folder) < 40
