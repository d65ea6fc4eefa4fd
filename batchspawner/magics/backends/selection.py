"""Choice of the backend that a line names."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ...allocation.allocation import client_for
from ...client.job_scripts import find_scheduler
from ...errors import OptionsError
from ...schedulers import scheduler_names
from .job import JobBackend
from .shell import ShellBackend
from .ssh import SshBackend

if TYPE_CHECKING:
    from ..options import CellOptions
    from .base import Backend


def names_of(wlm: str) -> list[str]:
    """Return the names of a backend: ``auto`` is the scheduler of this machine, too."""
    if wlm == "auto":
        with suppress(LookupError):
            return [wlm, find_scheduler().name]
    return [wlm]


def backend_for(options: CellOptions, shell: str) -> Backend:
    """Return a backend for one cell. Raises OptionsError for an unknown name."""
    if not options.wlm:
        return ShellBackend(shell, options.others)
    if options.wlm == "ssh":
        return SshBackend(options.host or "localhost", shell, options.others)
    with suppress(LookupError):
        return JobBackend(client_for(options.wlm), shell, options.others)
    known = ["auto", "ssh", *scheduler_names()]
    raise OptionsError("--wlm", options.wlm, f"known are {', '.join(known)} and '' (this machine)")
