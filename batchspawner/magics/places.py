"""Find the place that a line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import OptionsError
from ..schedulers import scheduler_names
from .shell import ShellPlace
from .ssh import SshPlace

if TYPE_CHECKING:
    from .options import Options
    from .place import Place


def place_for(options: Options) -> Place:
    """Return a place for one cell. Raises OptionsError for a name that nothing has."""
    shell = options.shell or "/bin/bash"
    if not options.wlm:
        return ShellPlace(shell, options.others)
    if options.wlm == "ssh":
        return SshPlace(options.host or "localhost", shell, options.others)
    known = ["auto", "ssh", *scheduler_names()]
    raise OptionsError("--wlm", options.wlm, f"known are {', '.join(known)} and '' (this machine)")
