"""Why a private file could not be written for the owner of a job, and what is missing."""

from __future__ import annotations

import getpass
import re
import shutil
from typing import TYPE_CHECKING

from ...errors import SchedulerError

if TYPE_CHECKING:
    from ...errors import BatchError
    from ..hub.jupyterhub import JobSpawner


def missing_rule(error: BatchError, spawner: JobSpawner) -> str:
    """Return the line that is missing in the rules of sudo, if that is why a file failed."""
    result = error.result if isinstance(error, SchedulerError) else None
    if result is None or not re.search(r"^sudo: |not allowed to execute", result.text, re.M):
        return ""
    hub, user = getpass.getuser(), spawner.user.name
    line = f"{hub} ALL=({user}) NOPASSWD:SETENV: {shutil.which('sh') or '/bin/sh'}"
    return (
        f" This line is missing in the rules of sudo: {line} (`batchspawner sudoers "
        f"--scheduler {spawner.scheduler_name}` prints all of them)."
    )


def last_line(error: BatchError) -> str:
    """Return an error in one line: the last line of a command that failed."""
    result = error.result if isinstance(error, SchedulerError) else None
    lines = result.text.splitlines() if result else []
    return str(lines[-1] if lines else error).rstrip(".")
