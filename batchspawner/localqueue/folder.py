"""The queue's folder, which must be private."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path

from ..private_folders import close_for_others, first_open, make_folders

_VARIABLE = "BATCHSPAWNER_QUEUE_DIR"


class QueueError(Exception):
    """The queue cannot do what was asked; the message says why."""


def state_folder(chosen: str = "") -> Path:
    """Return the folder of the queue, created if need be.

    Raises QueueError if other users could enter or replace it, because it holds scripts and
    environments.
    """
    folder = Path(chosen) if chosen else default_folder()
    folder = folder.absolute()
    try:
        make_folders(folder)
        if not (chosen or os.environ.get(_VARIABLE)):
            close_for_others(folder.parent)
        found = folder.stat()
        place = first_open(folder.parent)
    except OSError as error:
        raise QueueError(f"cannot use the queue's folder {folder}: {error.strerror}") from error
    if found.st_uid != os.geteuid():
        raise QueueError(
            f"the queue's folder {folder} belongs to another user (id {found.st_uid}); "
            "set BATCHSPAWNER_QUEUE_DIR to one of your own"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise QueueError(f"others may enter the queue's folder {folder}; run: chmod 700 {folder}")
    if place is not None:
        raise QueueError(f"others may replace the queue's folder {folder}; run: chmod go-w {place}")
    return folder


def default_folder() -> Path:
    """Return the folder that the environment names. Raises QueueError if this user has none."""
    named = os.environ.get(_VARIABLE)
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else _home() / ".local" / "state") / "batchspawner" / "queue"


def _home() -> Path:
    """Return HOME, or the home in the system's user database if that is another user's."""
    uid, home = os.geteuid(), os.environ.get("HOME", "")
    with contextlib.suppress(OSError):
        # `sudo -E` may leave us that of its caller.
        if home and Path(home).stat().st_uid == uid:
            return Path(home)
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        raise QueueError("this user has no home; set BATCHSPAWNER_QUEUE_DIR to a folder") from None
