"""Answers of a worker: a value, an exception as if it had been raised here, or why it died."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from ...errors import BatchError, JobFailed, JobOutOfMemory
from ...jobs import JobInfo, JobState
from . import worker

if TYPE_CHECKING:
    from pathlib import Path

    from .worker import Header

EXTERNAL_SIGNALS = tuple(
    -number
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGXCPU,
        signal.SIGUSR1,
        signal.SIGUSR2,
    )
)
"""Exit codes of a worker whose job is being ended: only the scheduler knows why."""


class RemoteTraceback(Exception):
    """Traceback of an exception that was raised in a job; it is the cause of that exception."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class RemoteError(BatchError):
    """Exception of a job that cannot be sent itself, in words: its type, message and traceback.

    `result()` of a future raises it, and for every exception with ``Executor(results="json")``.
    """


class PythonMismatch(BatchError):
    """The Python of the job has another version than this one, and cannot read what it writes.

    `result()` of a future raises it, with both versions.
    """


def read_result(
    header: Header, data: bytes, folder: Path | None = None, *, trusted: bool = True
) -> tuple[object, BaseException | None]:
    """Return the value of a result frame and None, or None and the exception of an error frame.

    `folder` is that of the call, in which a large result is a file; None if the worker does not
    share it. Nothing is unpickled unless the worker is `trusted`.
    """
    try:
        if header.get("file"):
            data = _take_file(header["file"], folder)
        is_result, form = header["type"] == "result", header["form"]
        plain = "json" if is_result else "text"
        # By name: a form that nobody knows must not be taken for a pickle either.
        if form not in ((plain, "pickle") if trusted else (plain,)):
            raise pickle.UnpicklingError(f"its form is {form!r}, and not {plain}")
        if is_result:
            return _load(form, data), None
        error = None if form == plain else _load(form, data)
    except Exception as problem:  # noqa: BLE001  (whatever a class does when it is unpickled)
        return None, _unreadable(header, problem)
    if not isinstance(error, BaseException):
        error = RemoteError(f"{header.get('name', '')}: {header.get('message', '')}")
    error.__cause__ = RemoteTraceback(str(header.get("text", "")))
    return None, error


def _take_file(name: str, folder: Path | None) -> bytes:
    """Return the content of a result's file, and remove it.

    Raises OSError, or ValueError for anything but a plain file of a worker in this folder.
    """
    file = PurePath(name)
    is_there = folder is not None and file.parent in (PurePath(), folder)
    if folder is None or not is_there or file.suffix != ".result" or name.endswith("/"):
        raise ValueError(f"it names a file that is none of its call: {name!r}")
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(file.name, flags, dir_fd=directory), "rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise ValueError(f"it names a file that is no plain file: {name!r}")
            data = opened.read()
        os.unlink(file.name, dir_fd=directory)
    finally:
        os.close(directory)
    return data


def _load(form: str, data: bytes) -> object:
    # A worker names the classes of a script that it has loaded so, as multiprocessing does.
    sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    return worker.load(form, data)


def _unreadable(header: Header, problem: Exception) -> RemoteError:
    what = "result" if header.get("type") == "result" else "exception"
    text = f"\n{header['text']}" if header.get("text") else ""
    kind = "cannot be unpickled" if isinstance(problem, pickle.UnpicklingError) else "is unreadable"
    error = RemoteError(f"the job's {what} {kind} here: {type(problem).__name__}: {problem}{text}")
    error.__cause__ = problem
    return error


def python_mismatch(python: list[int]) -> PythonMismatch | None:
    """Return the error for a worker whose Python version (major, minor …) differs from ours."""
    if python[:2] == list(sys.version_info[:2]):
        return None
    here, there = (".".join(map(str, one)) for one in (sys.version_info[:3], python))
    return PythonMismatch(
        f"the job runs Python {there} and this program Python {here}: pickled functions and "
        "arguments do not survive that. Start the job with the same Python "
        "(python=..., or a prologue that activates the same environment)."
    )


def worker_failure(name: str, code: int, log_tail: str) -> JobFailed:
    """Return the error for a worker that died at a call: its exit code, or minus its signal."""
    if code == -signal.SIGKILL:
        status = JobInfo(
            name,
            JobState.OUT_OF_MEMORY,
            signal=signal.SIGKILL,
            reason="killed, most likely for its memory",
        )
        return JobOutOfMemory(status, log_tail)
    if code < 0:
        return JobFailed(JobInfo(name, JobState.FAILED, signal=-code), log_tail)
    reason = "ended in the middle of a call"
    return JobFailed(JobInfo(name, JobState.FAILED, exit_code=code, reason=reason), log_tail)
