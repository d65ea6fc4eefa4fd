"""What a program prints when it ends: calls that failed unnoticed, and what its jobs printed.

Jobs of a scheduler go on after their program. Without a scheduler there is nowhere else to look,
so the program waits for its jobs, shows what they print, and fails if one has failed.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import os
import signal
import sys
import time
import warnings
from typing import TYPE_CHECKING

from ..futures import unnoticed_failures
from ..session import before_exit

if TYPE_CHECKING:
    from ..function_job import FunctionJob

_MAX_LINES = 5

_COPY_TIMEOUT_S = 10.0
"""Seconds in which a copy of this process, which has nothing to do, has exited."""

_jobs_to_show: list[FunctionJob] = []
"""Jobs of this machine, whose output is shown when the program ends."""


def show_at_exit(job: FunctionJob) -> None:
    """Wait for a job before the program exits, and print what it prints if nobody has read that."""
    _jobs_to_show.append(job)


def _finish() -> None:
    for job in _jobs_to_show:
        _show(job)
    failures = unnoticed_failures()
    if not failures:
        return
    words = "calls have" if len(failures) > 1 else "call has"
    print(f"{len(failures)} {words} failed, and nobody asked for the result:", file=sys.stderr)
    for job_id, text in failures[:_MAX_LINES]:
        place = f" (batchspawner jobs log {job_id})" if job_id else ""
        print(f"  job {job_id or 'not submitted'}: {text}{place}", file=sys.stderr)
    if len(failures) > _MAX_LINES:
        print(f"  and {len(failures) - _MAX_LINES} more", file=sys.stderr)
    if _jobs_to_show and not hasattr(sys, "ps1"):
        atexit.register(_exit_as_failed)


def _show(job: FunctionJob) -> None:
    """Print what a job prints until its calls have ended."""
    offset, ended = 0, job.was_read
    while not ended:
        ended = not concurrent.futures.wait(job.futures, 0.2).not_done
        text, offset = job.log_from(offset)
        sys.stdout.write(text)
        sys.stdout.flush()
    concurrent.futures.wait(job.futures)


def _exit_as_failed() -> None:
    """Exit with status 1, or with the program's own status if that is not 0.

    Only the interpreter knows that status, at the very end: a copy of this process goes there.
    """
    atexit.unregister(_exit_as_failed)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of our thread, which the copy does not have
        try:
            copy = os.fork()
        except (OSError, RuntimeError):
            os._exit(1)
    if not copy:
        return
    status = _status_of(copy)
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status) or 1)


def _status_of(child: int) -> int:
    """Wait for a process and return its status, 0 if it does not end in time."""
    end = time.monotonic() + _COPY_TIMEOUT_S
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return 0


before_exit(_finish)
