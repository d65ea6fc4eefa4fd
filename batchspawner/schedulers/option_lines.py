"""Options of job scripts that several schedulers write in the same way."""

from __future__ import annotations


def resource_option(name: str, value: object) -> str:
    """Return ``-l name=value``, or ``-n value`` and ``-n`` if the name is one character."""
    if len(name) > 1:
        return f"-l {name}={value}"
    return f"-{name}" if value is True else f"-{name} {value}"
