"""Registry on disk of the jobs with kernels, for all server processes of a user.

Each allocation has a folder of its own, which only its user can read, with ``allocation.json`` in
it. One lock is held while entries are read or changed; another one, in the folder, is held by the
process that owns the allocation for as long as that process lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from ...allocation.call_folder import calls_folder, make_private, naming

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO, Any

_ENTRY = "allocation.json"
_OWNER = "owner"
_ATTACHED_TO, _ATTACHED_TO_KEY = "attached_to", "guest_of"
"""The field, and its key in the file, which other releases read, too."""


@dataclass(frozen=True)
class Entry:
    """What other processes need to know of an allocation.

    `name` is the name by which kernels share it, empty for the allocation of one kernel. `job_id`
    is empty while it is submitted. `attached_to` is the id of the owner's allocation, if another
    process has submitted the job, or the job's id, if no process of ours has. `host` and `pid`
    are those of the process that owns this entry.
    """

    id: str
    scheduler: str
    name: str = ""
    job_id: str = ""
    attached_to: str = ""
    host: str = ""
    pid: int = 0

    @classmethod
    def new(cls, scheduler: str, name: str, attached_to: str, job_id: str = "") -> Entry:
        """Return a new allocation of this process."""
        return cls(secrets.token_hex(6), scheduler, name, job_id, attached_to).moved()

    @classmethod
    def read(cls, file: Path) -> Entry:
        """Return what is in a file; a newer version may have written more than we know."""
        values: dict[str, Any] = json.loads(file.read_text())
        values[_ATTACHED_TO] = values.pop(_ATTACHED_TO_KEY, "")
        return cls(**known(cls, values))

    def json(self) -> str:
        """Return what stands in the file."""
        values: dict[str, Any] = asdict(self)
        values[_ATTACHED_TO_KEY] = values.pop(_ATTACHED_TO)
        return json.dumps(values)

    def moved(self) -> Entry:
        """Return the same allocation, owned by this process."""
        return replace(self, host=socket.gethostname(), pid=os.getpid())


def known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a dataclass has fields for."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


class Registry:
    """The folder of all allocations of this user."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or calls_folder() / "kernels"
        self._locks: dict[str, IO[str]] = {}

    def folder(self, entry_id: str) -> Path:
        return self.root / entry_id

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the registry against changes by other processes; not for long."""
        make_private(self.root)
        with (self.root / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def entries(self) -> list[Entry]:
        """Return all allocations, oldest first."""
        found = []
        for file in self.root.glob(f"*/{_ENTRY}"):
            # It may be removed at this moment.
            with contextlib.suppress(FileNotFoundError):
                found.append((file.stat().st_mtime, Entry.read(file)))
        return [entry for _, entry in sorted(found, key=lambda one: (one[0], one[1].id))]

    def entry(self, entry_id: str) -> Entry | None:
        """Return one allocation, or None if it is closed for kernels."""
        with contextlib.suppress(FileNotFoundError):
            return Entry.read(self.folder(entry_id) / _ENTRY)
        return None

    def write(self, entry: Entry) -> None:
        """Write an entry, atomically, in place of an earlier one.

        Raises OSError, which says how to name another folder.
        """
        file = self.folder(entry.id) / _ENTRY
        new = file.with_suffix(f".{os.getpid()}")
        with naming(file.parent):
            file.parent.mkdir(mode=0o700, exist_ok=True)
            new.write_text(entry.json())
            new.replace(file)

    def close(self, entry_id: str) -> None:
        """Hide an allocation from all processes; its folder stays."""
        with self.locked():
            (self.folder(entry_id) / _ENTRY).unlink(missing_ok=True)

    def remove(self, entry_id: str) -> None:
        """Remove an allocation and its folder."""
        (self.folder(entry_id) / _ENTRY).unlink(missing_ok=True)
        shutil.rmtree(self.folder(entry_id), ignore_errors=True)
        self.release(entry_id)

    def acquire(self, entry_id: str) -> bool:
        """Become the owner of an allocation; return False if another process is."""
        if entry_id in self._locks:
            return True
        try:
            lock = (self.folder(entry_id) / _OWNER).open("a")
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._locks[entry_id] = lock
        return True

    def release(self, entry_id: str) -> None:
        """Stop owning an allocation, so that another process can."""
        lock = self._locks.pop(entry_id, None)
        if lock is not None:
            lock.close()
