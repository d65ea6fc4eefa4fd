"""Find the place that a line names."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ...allocation.allocation import client_for
from ...client.job_scripts import find_scheduler
from ...errors import OptionsError
from ...schedulers import scheduler_names
from .job import JobPlace
from .shell import ShellPlace
from .ssh import SshPlace

if TYPE_CHECKING:
    from ..options import Options
    from .base import Place


def names_of(wlm: str) -> list[str]:
    """Return what a place is called: ``auto`` is the scheduler of this machine, too."""
    if wlm == "auto":
        with suppress(LookupError):
            return [wlm, find_scheduler().name]
    return [wlm]


def place_for(options: Options, shell: str) -> Place:
    """Return a place for one cell. Raises OptionsError for a name that nothing has."""
    if not options.wlm:
        return ShellPlace(shell, options.others)
    if options.wlm == "ssh":
        return SshPlace(options.host or "localhost", shell, options.others)
    with suppress(LookupError):
        return JobPlace(client_for(options.wlm), shell, options.others)
    known = ["auto", "ssh", *scheduler_names()]
    raise OptionsError("--wlm", options.wlm, f"known are {', '.join(known)} and '' (this machine)")
