"""File in which an executor with workers in jobs writes how many of its calls are done.

Other processes of this user read it, such as the Jupyter server whose panel shows the executor.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import secrets
import socket
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...allocation.call_folder import calls_folder, make_private
from ...allocation.job_origin import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_WRITE_INTERVAL_S = 1.0
"""Between two writes, however many calls are done meanwhile."""

_RETENTION_S = 86400.0
"""For how long a file is kept that is not written any more."""


def executors_folder() -> Path:
    """Return the folder with a file for each executor of the last day."""
    return calls_folder() / "executors"


class ProgressFile:
    """Numbers of calls of one executor: how many there are, were done, and have failed.

    `group` is the executor's id in the records of its jobs. It belongs to the library's loop.
    """

    def __init__(self, name: str) -> None:
        self.group = secrets.token_hex(6)
        self._facts: dict[str, object] = {
            "name": name,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": time.time(),
            "origin": asdict(Origin.here()),
        }
        self._total = self._done = self._failed = 0
        self._writing: asyncio.TimerHandle | None = None

    def add(self, futures: Iterable[concurrent.futures.Future[Any]]) -> None:
        """Count calls, now and when they are done."""
        loop = asyncio.get_running_loop()

        def note(future: concurrent.futures.Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the program exits
                loop.call_soon_threadsafe(self._note_end, future)

        for one in futures:
            self._total += 1
            # Not the method of JobFuture: it notes that somebody asks how the call ends.
            concurrent.futures.Future.add_done_callback(one, note)
        self._changed()

    def close(self) -> None:
        """Write the last numbers: all calls are done. They are kept for a day."""
        if self._writing is not None:
            self._writing.cancel()
        if self._total:
            self._facts["closed"] = time.time()
            self._write()
            self._total = 0

    @property
    def _file(self) -> Path:
        return executors_folder() / f"{self.group}.json"

    def _note_end(self, future: concurrent.futures.Future[Any]) -> None:
        error = None
        if not future.cancelled():
            error = concurrent.futures.Future.exception(future)
        self._failed += future.cancelled() or error is not None
        self._done += 1
        self._changed()

    def _changed(self) -> None:
        if self._writing is None and self._total:
            loop = asyncio.get_running_loop()
            self._writing = loop.call_later(_WRITE_INTERVAL_S, self._write)

    def _write(self) -> None:
        self._writing = None
        numbers = {"total": self._total, "done": self._done, "failed": self._failed}
        # Nothing of this is worth an error in the program whose calls these are.
        with contextlib.suppress(OSError):
            make_private(executors_folder())
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps({**self._facts, **numbers}), encoding="utf-8")
            new.replace(self._file)
            for old in executors_folder().glob("*.json"):
                if old.stat().st_mtime < time.time() - _RETENTION_S:
                    old.unlink()
