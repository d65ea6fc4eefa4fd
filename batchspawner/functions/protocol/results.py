"""Answers of a worker: a value, an exception as if it had been raised here, or why it died."""

from __future__ import annotations

import pickle
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BatchError, JobFailed, JobOutOfMemory
from ...jobs import JobInfo, JobState
from . import worker

if TYPE_CHECKING:
    from .worker import Header

EXTERNAL_SIGNALS = (-signal.SIGTERM, -signal.SIGXCPU, -signal.SIGUSR1, -signal.SIGUSR2)
"""Exit codes of a worker whose job is being ended: only the scheduler knows why."""


class RemoteTraceback(Exception):
    """Traceback of an exception that was raised in a job; it is the cause of that exception."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class RemoteError(BatchError):
    """Exception of a job that cannot be sent itself, in words."""


class PythonMismatch(BatchError):
    """The Python of the job cannot read what this one writes."""


def read_result(header: Header, data: bytes) -> tuple[object, BaseException | None]:
    """Return the value of a result frame and None, or None and the exception of an error frame."""
    if header.get("file"):
        path = Path(header["file"])
        data = path.read_bytes()
        path.unlink()
    try:
        if header["type"] == "result":
            return _load(header["form"], data), None
        error = None if header["form"] == "text" else _load("pickle", data)
    except Exception as problem:  # noqa: BLE001  (whatever a class does when it is unpickled)
        return None, _unreadable(header, problem)
    if not isinstance(error, BaseException):
        error = RemoteError(f"{header['name']}: {header['message']}")
    error.__cause__ = RemoteTraceback(header["text"])
    return None, error


def _load(form: str, data: bytes) -> object:
    # A worker names the classes of a script that it has loaded so, as multiprocessing does.
    sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    return worker.load(form, data)


def _unreadable(header: Header, problem: Exception) -> RemoteError:
    what = "result" if header["type"] == "result" else "exception"
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
