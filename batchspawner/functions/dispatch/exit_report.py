"""What a program prints when it ends: calls that failed unnoticed, and what its jobs printed.

Jobs of a scheduler go on after their program. Without a scheduler there is nowhere else to look,
so the program waits for its jobs, shows what they print, and fails if one has failed.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import os
import sys
from typing import TYPE_CHECKING

from ..futures import unnoticed_failures
from ..session import before_exit

if TYPE_CHECKING:
    from ..job import FunctionJob

_MAX_LINES = 5

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
    """Exit with status 1, which an exit hook can do in no other way."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


before_exit(_finish)
