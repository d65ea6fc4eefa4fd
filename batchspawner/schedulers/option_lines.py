"""Options of job scripts that several schedulers write in the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@%+-]{0,1000}")
"""Values that every release of PBS, Torque and Moab passes on unchanged by ``-v NAME``.

OpenPBS turns ``"`` into a backslash, doubles backslashes and refuses a job with ``'``; Torque 4.2
cuts a value at a comma. https://github.com/jupyterhub/batchspawner/issues/300
"""


def resource_option(name: str, value: object) -> str:
    """Return ``-l name=value``, or ``-n value`` and ``-n`` if the name is one character."""
    if len(name) > 1:
        return f"-l {name}={value}"
    return f"-{name}" if value is True else f"-{name} {value}"


def pbs_dependencies(jobs: Mapping[str, Sequence[str]]) -> str | None:
    """Return the option of PBS and Torque by which a job waits for others."""
    if "singleton" in jobs:
        return None
    return f"-W depend={','.join(':'.join([method, *ids]) for method, ids in jobs.items())}"
