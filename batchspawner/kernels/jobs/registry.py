"""Keep on disk which jobs hold kernels, for every server process of a user.

Each allocation has a folder of its own, which only its user can read, with ``allocation.json`` in
it. One lock is held while entries are looked for or changed; another one, in the folder, is held
by the process that speaks with the job for as long as that process lives.
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

from ...allocation.call_folder import calls_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO, Any

_ENTRY = "allocation.json"
_OWNER = "owner"


@dataclass(frozen=True)
class Entry:
    """Hold what other processes have to know of an allocation.

    `name` is what kernels name that wish to share it, empty for the allocation of one kernel.
    `job_id` is empty while it is submitted. `guest_of` is the allocation of the process that has
    submitted the job, where that is another one, or the job itself, where it was none of ours.
    `host` and `pid` say who speaks with it.
    """

    id: str
    scheduler: str
    name: str = ""
    job_id: str = ""
    guest_of: str = ""
    host: str = ""
    pid: int = 0

    @classmethod
    def fresh(cls, scheduler: str, name: str, guest_of: str, job_id: str = "") -> Entry:
        return cls(secrets.token_hex(6), scheduler, name, job_id, guest_of).moved()

    @classmethod
    def read(cls, file: Path) -> Entry:
        """Return what is in a file; a newer version may have written more than we know."""
        return cls(**known(cls, json.loads(file.read_text())))

    def moved(self) -> Entry:
        """Return the same allocation, of this process."""
        return replace(self, host=socket.gethostname(), pid=os.getpid())


def known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a dataclass has a field for."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


class Registry:
    """Read and write the folder of all allocations of this user."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or calls_folder() / "kernels"
        self._held: dict[str, IO[str]] = {}

    def folder(self, entry_id: str) -> Path:
        return self.root / entry_id

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from changing the registry; never for long."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        """Return one allocation, None where no kernel can be put into it any more."""
        with contextlib.suppress(FileNotFoundError):
            return Entry.read(self.folder(entry_id) / _ENTRY)
        return None

    def write(self, entry: Entry) -> None:
        """Put an entry in the place of what was there, at once for every reader."""
        file = self.folder(entry.id) / _ENTRY
        file.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(asdict(entry)))
        fresh.replace(file)

    def close(self, entry_id: str) -> None:
        """Let no process find an allocation any more."""
        with self.locked():
            (self.folder(entry_id) / _ENTRY).unlink(missing_ok=True)

    def remove(self, entry_id: str) -> None:
        """Forget an allocation, and delete its folder."""
        (self.folder(entry_id) / _ENTRY).unlink(missing_ok=True)
        shutil.rmtree(self.folder(entry_id), ignore_errors=True)
        self.leave(entry_id)

    def hold(self, entry_id: str) -> bool:
        """Become the process that speaks with a job; False where another one is that."""
        if entry_id in self._held:
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
        self._held[entry_id] = lock
        return True

    def leave(self, entry_id: str) -> None:
        """Let another process speak with a job."""
        lock = self._held.pop(entry_id, None)
        if lock is not None:
            lock.close()
