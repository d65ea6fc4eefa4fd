"""Fields for amounts: whole numbers, memory and times, between limits in the same notation."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from ... import units
from ...errors import OptionsError
from ...translation import gettext as _
from .base import Field, Limit, Size, Value

_MAX_LENGTH = 24
_MAX_DURATION_S = 10 * 366 * 86400
_MAX_MEMORY_BYTES = 2**60
_INTEGER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Amount(Field):
    """An amount between two limits, which are written as users write amounts.

    The form offers `choices` as a list, and any other amount beside it.
    """

    min: Size = None
    max: Size = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            self.bounds()
        except OptionsError as error:
            raise ValueError(f"a limit of an option is wrong: {error}") from error
        super().__post_init__()

    def number(self, text: str) -> int:
        """Return the amount in its smallest unit. Raises OptionsError."""
        raise NotImplementedError

    def to_text(self, number: int) -> str:
        """Return an amount as text that every scheduler's template takes."""
        return str(number)

    def display(self, number: int) -> str:
        """Return an amount as people write it."""
        return self.to_text(number)

    def bounds(self) -> tuple[int | None, int | None]:
        """Return `min` and `max` in the smallest unit, None if there is no limit."""
        low = None if self.min is None else self._size(self.min)
        return low, None if self.max is None else self._size(self.max)

    def read_text(self, text: str) -> str:
        if len(text) > _MAX_LENGTH:
            raise self.refusal(text, _("give at most %(number)s characters", number=_MAX_LENGTH))
        try:
            number = self.number(text)
        except OptionsError as error:
            allowed = "; ".join(filter(None, (_(error.allowed), self.allowed)))
            raise self.refusal(text, allowed) from None
        low, high = self.bounds()
        if (low is not None and number < low) or (high is not None and number > high):
            raise self.refusal(text, self.allowed)
        return self.to_text(number)

    def within(self, limit: Limit) -> Amount:
        lows = [one for one in (self.min, limit.min) if one is not None]
        highs = [one for one in (self.max, limit.max) if one is not None]
        return replace(
            self,
            default="",
            min=max(lows, key=self._size, default=None),
            max=min(highs, key=self._size, default=None),
        )

    def clamp(self, value: Value) -> Value:
        if value == "":
            return value
        low, high = self.bounds()
        number = self.number(str(value))
        number = number if high is None else min(number, high)
        return self.to_text(number if low is None else max(number, low))

    @property
    def allowed(self) -> str:
        low, high = (None if number is None else self.display(number) for number in self.bounds())
        unit = f" {self.unit}" if self.unit else ""
        if low is not None and low == high:
            return _("choose %(amount)s", amount=f"{low}{unit}")
        if low is not None and high is not None:
            return _("choose from %(low)s to %(high)s", low=low, high=f"{high}{unit}")
        if high is not None:
            return _("choose at most %(amount)s", amount=f"{high}{unit}")
        return "" if low is None else _("choose at least %(amount)s", amount=f"{low}{unit}")

    def _size(self, bound: Size) -> int:
        return self.number(str(bound))


@dataclass(frozen=True)
class Integer(Amount):
    """A whole number."""

    min: Size = 0
    kind: ClassVar[str] = "integer"

    def number(self, text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise self.refusal(text, _("give a whole number"))
        return int(text)


@dataclass(frozen=True)
class Memory(Amount):
    """An amount of memory with its unit, such as ``4G``."""

    min: Size = "1M"
    kind: ClassVar[str] = "memory"

    def number(self, text: str) -> int:
        size = units.memory(self.name, text)
        if size >= _MAX_MEMORY_BYTES:
            raise self.refusal(text, _("that is too much"))
        return size

    def to_text(self, number: int) -> str:
        mega = -(-number // 2**20)
        return f"{mega // 1024}G" if mega and mega % 1024 == 0 else f"{mega}M"


@dataclass(frozen=True)
class Duration(Amount):
    """A time such as ``90`` (minutes), ``8:00:00`` or ``1d 12h``."""

    min: Size = "00:01:00"
    kind: ClassVar[str] = "duration"

    def number(self, text: str) -> int:
        seconds = units.seconds(self.name, text)
        if seconds > _MAX_DURATION_S:
            raise self.refusal(text, _("that is too long"))
        return seconds

    def to_text(self, number: int) -> str:
        return _clock(number)

    def display(self, number: int) -> str:
        return format_duration(number)


def format_duration(seconds: int) -> str:
    """Return a time as people write it: ``1d 12h``."""
    if seconds % 60 or not seconds:
        return _clock(seconds)
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
