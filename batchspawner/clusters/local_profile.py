"""Local IPython profile with the connection files of a cluster on another host.

Each connection has a folder with a record of all that it makes, and a lock that its process holds.
So another process can clean up after a crash.
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
_OWNER_FILE = "batchspawner-connection"
_MAX_PROFILES = 1000
_MAX_SOCKET_FOLDER_LENGTH = 40

_LOCK_TIMEOUT_S = 60.0
"""How long the process that has made a folder may take to lock it."""


class LinkFolder(PrivateFolder):
    """Folder of one connection, with its record, and its profile."""

    kind = "connections"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.profile = Path()
        self.sockets = Path()
        self._values: dict[str, object] = {}
        self._lock = -1

    def begin(self, host: str, where: str, name: str) -> None:
        """Lock the folder; make a profile of an unused name, and a folder for the socket."""
        self.lock()
        self.profile = self._free_profile(name)
        self._update(host=host, where=where, profile=str(self.profile))
        # The path of a socket must be short: a home folder may be too long for it.
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        self.sockets = Path(tempfile.mkdtemp(prefix="bs-", dir=base if _usable(base) else None))
        self._update(sockets=str(self.sockets))

    def note(self, ssh: Ssh, forwards: dict[Endpoint, int]) -> None:
        """Record what is to be cleaned up after a crash."""
        ends = [[port, end.host, end.port] for end, port in forwards.items()]
        self._update(socket=str(ssh.socket), shared=ssh.shared, forwards=ends)

    def put(self, name: str, info: dict[str, object]) -> Path:
        """Write a connection file into the profile."""
        return write_private(self.profile / "security" / name, json.dumps(info, indent=1))

    def lock(self) -> bool:
        """Lock the folder; return False if a living process has locked it."""
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.unlock()
            return False
        return True

    @property
    def is_new(self) -> bool:
        """Whether the process that has made it may be about to lock it."""
        with contextlib.suppress(FileNotFoundError):
            age = time.time() - self.path.stat().st_mtime
            return not self.read_record() and age < _LOCK_TIMEOUT_S
        return True

    def unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def end(self) -> None:
        """Remove all that the connection has made on this machine."""
        record = self.read_record()
        profile, sockets = (str(record.get(name) or "") for name in ("profile", "sockets"))
        if _owner(Path(profile or self.path)) == self.path.name:
            shutil.rmtree(profile, ignore_errors=True)
        if sockets:
            shutil.rmtree(sockets, ignore_errors=True)
        self.remove()
        self.unlock()

    def _free_profile(self, name: str) -> Path:
        """Make a profile of this name, or of the first one with a number that does not exist."""
        parent = ipython_folder()
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, _MAX_PROFILES):
            path = parent / f"profile_{name if number == 1 else f'{name}-{number}'}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
                write_private(path / _OWNER_FILE, self.path.name)
                (path / "security").mkdir(mode=0o700)
                return path
        raise FileExistsError(f"{parent} has {_MAX_PROFILES} profiles named {name}")

    def _update(self, **values: object) -> None:
        self._values.update(values)
        self.write_record(self._values)


async def clean() -> list[str]:
    """End and remove connections of crashed processes; return their names."""
    cleaned = []
    for folder in LinkFolder.all():
        if not folder.is_new and folder.lock():
            record = folder.read_record()
            await _end_ssh(record)
            folder.end()
            cleaned.append(f"{record.get('host', '?')} {record.get('where', '?')}")
    return cleaned


async def _end_ssh(record: dict[str, Any]) -> None:
    socket = str(record.get("socket") or "")
    path = Path(socket)
    if not socket or not path.exists():
        return
    if not record.get("shared"):
        await end_master(path)
        return
    forwards: list[tuple[int, str, int]] = record.get("forwards", [])
    for port, host, remote in forwards:
        await end_forward(path, port, host, remote)


def _owner(profile: Path) -> str:
    try:
        return (profile / _OWNER_FILE).read_text()
    except OSError:
        return ""


def _usable(folder: str) -> bool:
    short = 0 < len(folder) < _MAX_SOCKET_FOLDER_LENGTH
    return short and os.access(folder, os.W_OK)
