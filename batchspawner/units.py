"""Durations and amounts of memory: as users write them, and as schedulers want them.

What a scheduler reads itself is passed on unchanged, as batchspawner 1.x did: a bare number and a
time of two parts, such as ``12:00``, keep the meaning that they have there. Other forms are
converted into one that the scheduler knows.
"""

from __future__ import annotations

import re

from .errors import OptionsError
from .message import Message, counted

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

_MAX_LENGTH = 100
"""No amount that means anything is longer; a number can be too long for Python to read."""

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
    if not match or len(text) > _MAX_LENGTH:
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
    if not match or len(text) > _MAX_LENGTH:
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


def say_minutes(seconds: float) -> Message:
    """Return a rounded time in words: ``about 20 minutes``, ``about 3 hours``."""
    minutes = seconds / 60
    if minutes < 1.5:
        return Message("about a minute")
    if minutes < 90:
        rounded = round(minutes) if minutes < 5 else 5 * round(minutes / 5)
        return Message("about %(time)s", time=_minutes(rounded))
    if minutes < 36 * 60:
        return Message("about %(time)s", time=_hours(round(minutes / 60)))
    return Message("about %(time)s", time=_days(round(minutes / 60 / 24)))


def say_duration(seconds: float) -> Message:
    """Return an exact time in words: ``90 seconds``, ``5 minutes``, ``2 hours``."""
    for length, words in ((86400, _days), (3600, _hours), (60, _minutes)):
        if seconds >= length and seconds % length == 0:
            return words(round(seconds / length))
    number = int(seconds) if float(seconds).is_integer() else 2
    return counted("%(value)s second", "%(value)s seconds", number, value=f"{seconds:g}")


def say_memory(size: int) -> str:
    """Return an amount of memory in bytes as people write it: ``1.5 GB``, ``512 MB``."""
    for unit, bytes_of_one in (("TB", 2**40), ("GB", 2**30)):
        if size >= bytes_of_one:
            return f"{size / bytes_of_one:.3g} {unit}"
    return f"{size / 2**20:.0f} MB"


def _minutes(number: int) -> Message:
    return counted("%(number)s minute", "%(number)s minutes", number)


def _hours(number: int) -> Message:
    return counted("%(number)s hour", "%(number)s hours", number)


def _days(number: int) -> Message:
    return counted("%(number)s day", "%(number)s days", number)
