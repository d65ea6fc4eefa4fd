"""Folders that only their user can enter, and files in them that a job has written."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


def open_plain(file: Path, *, follow_links: bool = False) -> BinaryIO:
    """Open a file that a job has written, for reading, without waiting for anybody.

    Raises OSError; FileNotFoundError also for a pipe, a device, a folder and, by default, a link.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    try:
        opened = open(os.open(file, flags), "rb")  # noqa: PTH123, SIM115  (a descriptor)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    else:
        if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return opened
        opened.close()
    raise FileNotFoundError(errno.ENOENT, "there is no plain file", str(file))


def make_folders(folder: Path) -> None:
    """Make a folder of mode 0700, and such ones above it where there are none. Raises OSError."""
    for one in reversed((folder, *folder.parents)):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


def close_for_others(folder: Path) -> None:
    """Forbid others to rename what is in a folder of ours. Raises OSError.

    Earlier releases made folders with the permissions that the umask leaves.
    """
    if folder.exists():
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & 0o022:
            folder.chmod(mode & ~0o022)


def first_open(folder: Path) -> Path | None:
    """Return the first of a folder and those above it in which everybody may rename what is there.

    None if there is none.
    """
    places = (folder, *folder.parents, *folder.resolve().parents)
    return next((one for one in places if one.exists() and _is_open_to_all(one)), None)


def _is_open_to_all(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH and not mode & stat.S_ISVTX)
