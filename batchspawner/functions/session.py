"""Hold what all jobs of this process share: where their agents call, and where their files lie."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..allocation.allocation import new_call
from ..allocation.call_folder import CallFolder, calls_folder
from ..allocation.listener import Listener
from .protocol import worker

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

KEPT = 7 * 86400.0
"""Seconds for which the files of a job are kept that has done its work."""

LONGEST = 60 * 86400.0
"""Seconds for which those of any other are kept, as of one that waits in the queue."""

QUIET = 5.0
"""Seconds in which a job that was submitted may call before the scheduler is asked about it."""

_listeners: WeakKeyDictionary[AbstractEventLoop, asyncio.Future[Listener | None]] = (
    WeakKeyDictionary()
)


def jobs_folder() -> Path:
    """Return the folder in which each job has its own."""
    return calls_folder() / "functions"


async def shared_listener() -> Listener | None:
    """Return where the agents of all jobs call; None where no port can be had."""
    loop = asyncio.get_running_loop()
    if loop not in _listeners:
        _listeners[loop] = loop.create_task(_open())
        await loop.run_in_executor(None, forget_old, time.time())
    return await _listeners[loop]


async def _open() -> Listener | None:
    try:
        return await Listener.open()
    except OSError as error:
        log.warning("No port can be had (%s); jobs speak through files", error)
        return None


def new_folder_call(
    runtime: object, python: str, *, lasting: bool, make: Callable[..., CallFolder] = new_call
) -> CallFolder:
    """Make the call of a job, with the worker in its folder.

    The agent of a `lasting` one does its orders to the end when this process is gone.
    """
    folder = jobs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    linger = None if lasting else 60.0
    patience = None if lasting else 300.0
    call = make(runtime, folder=folder, python=python, linger=linger, orphan_timeout=patience)
    shutil.copyfile(worker.__file__, folder / "worker.py")
    return call


def forget_old(now: float) -> None:
    """Remove the files of jobs that have not changed for long, later where work may be left."""
    if not jobs_folder().is_dir():
        return
    for folder in jobs_folder().iterdir():
        try:
            newest = max(file.stat().st_mtime for file in (folder, *folder.glob("*")))
            old = newest < now - KEPT and (newest < now - LONGEST or not _has_work_left(folder))
        except OSError:
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)


def _has_work_left(folder: Path) -> bool:
    """Say whether a job may still wait in the queue, or be at a call that says nothing."""
    if not (folder / "calls").exists():
        return not (folder / "log").exists()
    return _count(folder / "calls", "call") > _count(folder / "results", "result", "error")


def _count(file: Path, *types: str) -> int:
    with contextlib.suppress(FileNotFoundError), file.open("rb") as frames:
        return sum(1 for header, _ in worker.frames(frames) if header["type"] in types)
    return 0
