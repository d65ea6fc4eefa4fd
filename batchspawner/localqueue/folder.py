"""The queue's folder, which must be private."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class QueueError(Exception):
    """The queue cannot do what was asked; the message says why."""


def state_folder(chosen: str = "") -> Path:
    """Return the folder of the queue, created if need be.

    Raises QueueError if other users could enter it, because it holds scripts and environments.
    """
    folder = Path(chosen or os.environ.get("BATCHSPAWNER_QUEUE_DIR") or _default()).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise QueueError(f"cannot use the queue's folder {folder}: {error.strerror}") from error
    if found.st_uid != os.geteuid():
        raise QueueError(
            f"the queue's folder {folder} belongs to another user (id {found.st_uid}); "
            "set BATCHSPAWNER_QUEUE_DIR to one of your own"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise QueueError(f"others may enter the queue's folder {folder}; run: chmod 700 {folder}")
    return folder


def _default() -> str:
    try:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    except RuntimeError as error:
        raise QueueError(f"{error}; set BATCHSPAWNER_QUEUE_DIR to a folder") from error
    return f"{state}/batchspawner/queue"
