"""Read the amounts that people write: how long, how much."""

from __future__ import annotations

import re

from .errors import OptionsError

_DURATION = re.compile(
    r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::(?P<m>\d+))?(?::(?P<s>\d+))?)"
    r"|(?:(?P<h3>\d+):(?P<m3>\d+):(?P<s3>\d+))|(?:(?P<m2>\d+):(?P<s2>\d+))|(?P<m1>\d+)"
)


def seconds(option: str, text: str) -> int:
    """Read a duration: ``90`` minutes, ``MM:SS``, ``HH:MM:SS``, ``D-HH``, ``D-HH:MM:SS``.

    These are Slurm's forms (https://slurm.schedmd.com/sbatch.html#OPT_time). Raises OptionsError,
    which names the option, for anything else.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise OptionsError(
            option, text, "write minutes, MM:SS, HH:MM:SS, D-HH or D-HH:MM:SS, such as 1-12:00:00"
        )
    part = {name: int(value) for name, value in match.groupdict().items() if value}
    minutes = part.get("m", 0) + part.get("m1", 0) + part.get("m2", 0) + part.get("m3", 0)
    hours = part.get("hours", 0) + part.get("h3", 0) + 24 * part.get("days", 0)
    total = 3600 * hours + 60 * minutes
    return total + part.get("s", 0) + part.get("s2", 0) + part.get("s3", 0)
