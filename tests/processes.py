"""Processes of this machine, also those that are not children of the tests."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil


def runs(pid: int | str) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def those_with(setting: str) -> list[str]:
    """Return the command lines of processes whose environment contains a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            theirs = int(folder.name) != os.getpid()
            if theirs and setting.encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found.append(b" ".join(words).decode(errors="replace").strip())
    # One that has ended has no command line any more.
    return sorted(filter(None, found))


def called(name: str, parent: int, *, recursive: bool = False) -> list[psutil.Process]:
    """Return the children of a process that have a name."""
    found = []
    for one in psutil.Process(parent).children(recursive=recursive):
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.name() == name:
                found.append(one)
    return found
