"""Shared by all jobs of this process: the listener, the folder of their files, exit hooks."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401  (its own exit hook has to run after ours)
import contextlib
import logging
import os
import secrets
import shutil
import threading
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

DONE_RETENTION_S = 7 * 86400.0
"""Seconds for which the files of a job are kept after its calls are done."""

UNFINISHED_RETENTION_S = 60 * 86400.0
"""Seconds for which the files of any other job are kept, such as one that waits in the queue."""

QUIET_PERIOD_S = 5.0
"""Seconds after the submit in which the scheduler is not asked about a job that may still call."""

_listeners: WeakKeyDictionary[AbstractEventLoop, asyncio.Future[Listener | None]] = (
    WeakKeyDictionary()
)


def jobs_folder() -> Path:
    """Return the folder in which each job has its own."""
    return calls_folder() / "functions"


async def shared_listener() -> Listener | None:
    """Return the listener for the agents of all jobs; None if no port is available."""
    loop = asyncio.get_running_loop()
    if loop not in _listeners:
        _listeners[loop] = loop.create_task(_open())
        await loop.run_in_executor(None, remove_old_folders, time.time())
    return await _listeners[loop]


async def _open() -> Listener | None:
    try:
        return await Listener.open()
    except OSError as error:
        log.warning("No port is available (%s); jobs use files instead", error)
        return None


def new_folder_call(
    runtime: object, python: str, *, detached: bool, make: Callable[..., CallFolder] = new_call
) -> CallFolder:
    """Create the call folder of a job, with the worker in it.

    The agent of a `detached` job carries out its orders also after this process has ended.
    """
    folder = jobs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    call = make(
        runtime,
        folder=folder,
        python=python,
        linger=None if detached else 60.0,
        orphan_timeout=None if detached else 300.0,
    )
    with call.filling():
        shutil.copyfile(worker.__file__, folder / "worker.py")
    return call


def remove_old_folders(now: float) -> None:
    """Remove the files of old jobs; those of a job that may have calls left are kept longer."""
    if not jobs_folder().is_dir():
        return
    for folder in jobs_folder().iterdir():
        try:
            newest = max(file.lstat().st_mtime for file in (folder, *folder.glob("*")))
            old = newest < now - DONE_RETENTION_S and (
                newest < now - UNFINISHED_RETENTION_S or not _may_have_calls_left(folder)
            )
        except OSError:
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)


def _may_have_calls_left(folder: Path) -> bool:
    """Return whether a job may still be queued, or at a call that prints nothing."""
    if not (folder / "calls").exists():
        return not (folder / "log").exists()
    return _count(folder / "calls", "call") > _count(folder / "results", "result", "error")


def _count(file: Path, *types: str) -> int:
    with contextlib.suppress(FileNotFoundError), file.open("rb") as frames:
        return sum(1 for header, _ in worker.frames(frames) if header["type"] in types)
    return 0


def before_exit(act: Callable[[], None]) -> None:
    """Call a function before the interpreter exits, while threads can still be started.

    `atexit` is too late for that.
    """
    process = os.getpid()

    def act_here() -> None:
        # A forked process exits, too, but has none of our threads.
        if os.getpid() == process:
            act()

    getattr(threading, "_register_atexit", atexit.register)(act_here)
