"""Folders for tests: their permissions, and such that several accounts write into."""

from __future__ import annotations

import contextlib
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def mode(folder: Path) -> int:
    """Return the permissions of a folder."""
    return stat.S_IMODE(folder.stat().st_mode)


@contextlib.contextmanager
def open_to_all() -> Iterator[Path]:
    """Make a folder that all can write into, as /tmp, and remove what can be removed of it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o1777)
        yield folder
    finally:
        # A job that ends just now may still write.
        shutil.rmtree(folder, ignore_errors=True)
