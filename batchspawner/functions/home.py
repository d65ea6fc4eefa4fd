"""Hold what all jobs of this process share: where their agents call, and where their files lie."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..allocation import new_call
from ..callhome import Listener
from ..calls import Call, calls_folder
from . import worker

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

KEPT = 7 * 86400.0
"""Seconds for which the files of a job are kept."""

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
        await loop.run_in_executor(None, forget_old, time.time() - KEPT)
    return await _listeners[loop]


async def _open() -> Listener | None:
    try:
        return await Listener.open()
    except OSError as error:
        log.warning("No port can be had (%s); jobs speak through files", error)
        return None


def new_folder_call(
    runtime: object, python: str, *, lasting: bool, make: Callable[..., Call] = new_call
) -> Call:
    """Make the call of a job, with the worker in its folder.

    The agent of a `lasting` one does its orders to the end when this process is gone.
    """
    folder = jobs_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    linger = None if lasting else 60.0
    patience = None if lasting else 300.0
    call = make(runtime, folder=folder, python=python, linger=linger, patience=patience)
    shutil.copyfile(worker.__file__, folder / "worker.py")
    return call


def forget_old(before: float) -> None:
    """Remove the files of jobs that have not changed since a moment."""
    if not jobs_folder().is_dir():
        return
    for folder in jobs_folder().iterdir():
        files = [folder, *folder.glob("*")]
        try:
            old = all(file.stat().st_mtime < before for file in files)
        except OSError:
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)
