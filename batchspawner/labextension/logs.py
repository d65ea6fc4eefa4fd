"""Parts of what a job prints, for a browser that follows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

from ..private_folders import open_plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_BYTES = 256 * 1024
"""Of a file, at most, in one answer."""


class LogPart(TypedDict):
    """A part of a file: its text, where the next one begins, and the names of all files."""

    text: str
    file: str
    files: list[str]
    offset: int
    is_cut: bool


def log_part(files: Sequence[Path], name: str, offset: int | None) -> LogPart:
    """Return what a file of a job has from an offset in bytes on, by default its end.

    `name` is that of one of the files, by default the first. Raises LookupError for any other.
    """
    names = [one.name for one in files]
    if not files:
        return {"text": "", "file": "", "files": [], "offset": 0, "is_cut": False}
    if name and name not in names:
        raise LookupError(f"this job has no log {name!r}")
    file = files[names.index(name) if name else 0]
    # A link leads to the file that the user has named for what the job prints.
    with open_plain(file, follow_links=True) as opened:
        size = opened.seek(0, os.SEEK_END)
        # A shorter file than before is a new one.
        begin = max(0, size - _MAX_BYTES) if offset is None or offset > size else offset
        opened.seek(begin)
        data = opened.read(_MAX_BYTES)
    return {
        "text": data.decode(errors="replace"),
        "file": file.name,
        "files": names,
        "offset": begin + len(data),
        "is_cut": begin > 0 and offset is None,
    }
