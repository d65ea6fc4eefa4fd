"""The job in which this Jupyter server runs, as its environment shows it."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent.job_identity import job_end, job_id
from ..schedulers import scheduler_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..schedulers.base import Scheduler

_OUTPUT = Path("/proc/self/fd/1")


@dataclass(frozen=True)
class OwnJob:
    """The job of this server; moments in seconds since the epoch, None if they are not known.

    `scheduler` is None, and `job_id` empty, if only the time limit of the job is known.
    """

    scheduler: Scheduler | None
    job_id: str
    started: float | None
    end: float | None


def own_job() -> OwnJob | None:
    """Return the job in which this process runs, None outside of jobs."""
    for one in scheduler_classes():
        found = job_id([one.identity()])
        if found and one.job_id_pattern.fullmatch(found):
            end = end_of_job(os.environ) or job_end([one.identity()])
            return OwnJob(one(), found, _moment(os.environ, "JOB_START_TIME"), end)
    end = end_of_job(os.environ)
    return OwnJob(None, "", _moment(os.environ, "JOB_START_TIME"), end) if end else None


def end_of_job(environment: Mapping[str, str]) -> int | None:
    """Return when the job ends, in seconds since the epoch, or None if that is unknown."""
    try:
        return int(environment["JOB_START_TIME"]) + 60 * int(environment["JOB_RUN_TIME"])
    except (KeyError, ValueError):
        return None


def own_log() -> Path | None:
    """Return the file to which this process prints, None if that is no file."""
    with contextlib.suppress(OSError):
        file = _OUTPUT.readlink()
        if stat.S_ISREG(file.stat().st_mode):
            return file
    return None


def _moment(environment: Mapping[str, str], name: str) -> float | None:
    with contextlib.suppress(KeyError, ValueError):
        return float(environment[name])
    return None
