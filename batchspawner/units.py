"""Durations and amounts of memory: as users write them, and as schedulers want them.

What a scheduler reads itself is passed on unchanged, as batchspawner 1.x did: a bare number and a
time of two parts, such as ``12:00``, keep the meaning that they have there. Other forms are
converted into one that the scheduler knows.
"""

from __future__ import annotations

import re

from .errors import OptionsError

_DURATION = re.compile(
    r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::(?P<m>\d+))?(?::(?P<s>\d+))?)"
    r"|(?:(?P<h3>\d+):(?P<m3>\d+):(?P<s3>\d+))|(?:(?P<m2>\d+):(?P<s2>\d+))|(?P<m1>\d+)"
)
_IN_WORDS = re.compile(
    r"(?=\d)(?:(?P<days>\d+)\s*d(?:ays?)?)?\s*(?:(?P<hours>\d+)\s*h(?:ours?)?)?"
    r"\s*(?:(?P<m>\d+)\s*m(?:in(?:utes?)?)?)?",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtp])(?:i?b)?|b)", re.IGNORECASE)
_NATIVE_MEMORY = {
    "M": re.compile(r"\d+[KMG]"),
    "mb": re.compile(r"\d+[kmgt]?b"),
    "MB": re.compile(r"\d+[KMGT]B"),
}
"""Amounts that a scheduler with this unit reads itself."""

_NATIVE_TIME = {
    "H:M": re.compile(r"\d+:\d+"),
    "H:M:S": re.compile(r"\d+:\d+(:\d\d)?"),
    "D-H:M:S": re.compile(r"\d+:\d+(:\d\d)?|\d+-\d+(:\d+(:\d+)?)?"),
}
"""Times that a scheduler with this form reads itself; a form without colons is of seconds."""

_EXPRESSION = re.compile(r"[-+*/?()$]")
_NO_LIMIT = frozenset({"unlimited", "infinite", "infinity"})
_PREFIXES = "bkmgtp"


def seconds(option: str, text: str) -> int:
    """Return the seconds of a duration: ``90`` (minutes), ``MM:SS``, ``HH:MM:SS``, ``1d 12h``.

    The forms with colons, and ``D-HH:MM:SS``, are Slurm's
    (https://slurm.schedmd.com/sbatch.html#OPT_time). Raises OptionsError, which names the option,
    for any other text.
    """
    match = _DURATION.fullmatch(text.strip()) or _IN_WORDS.fullmatch(text.strip())
    if not match:
        raise OptionsError(
            option, text, "write a time such as 90 (minutes), 12:00:00, 1-12:00:00 or 1d 12h"
        )
    part = {name: int(value) for name, value in match.groupdict().items() if value}
    minutes = part.get("m", 0) + part.get("m1", 0) + part.get("m2", 0) + part.get("m3", 0)
    hours = part.get("hours", 0) + part.get("h3", 0) + 24 * part.get("days", 0)
    total = 3600 * hours + 60 * minutes
    return total + part.get("s", 0) + part.get("s2", 0) + part.get("s3", 0)


def memory(option: str, text: str) -> int:
    """Return the bytes of an amount with a unit: ``4gb``, ``4G``, ``4 GiB``, ``1.5t``, ``512m``.

    A unit is a power of 1024, as in every scheduler. Raises OptionsError, which names the option,
    for any other text.
    """
    match = _MEMORY.fullmatch(text.strip())
    if not match:
        raise OptionsError(option, text, "write an amount such as 4000M, 4G or 1.5T")
    unit: int = 1024 ** _PREFIXES.index((match[2] or "b").lower())
    return round(float(match[1]) * unit)


def native_memory(option: str, text: str, unit: str, *, expressions: bool = False) -> str:
    """Return an amount in a scheduler's own form: a whole number of a unit such as ``M`` or ``mb``.

    A bare number is returned unchanged, and so is an amount in this form, and an expression if the
    scheduler knows `expressions`. Raises OptionsError for any other text.
    """
    text = text.strip()
    if text.isdecimal() or (expressions and _EXPRESSION.search(text)):
        return text
    if unit in _NATIVE_MEMORY and _NATIVE_MEMORY[unit].fullmatch(text):
        return text
    size: int = 1024 ** _PREFIXES.index(unit[0].lower())
    return f"{-(-memory(option, text) // size)}{unit}"


def native_duration(option: str, text: str, form: str) -> str:
    """Return a duration in a scheduler's own form: ``H:M:S``, ``D-H:M:S``, ``H:M`` or ``S``.

    A bare number, a word for no limit, and a time in this form are returned unchanged. Raises
    OptionsError for any other text.
    """
    text = text.strip()
    if text.isdecimal() or text.lower() in _NO_LIMIT:
        return text
    if form in _NATIVE_TIME and _NATIVE_TIME[form].fullmatch(text):
        return text
    total = seconds(option, text)
    if form == "S":
        return str(total)
    if form == "H:M":
        total = -(-total // 60) * 60
        return f"{total // 3600}:{total // 60 % 60:02}"
    return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"
