"""Take numbers, memory and times from users, between limits that are written alike."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ... import units
from ...errors import OptionsError
from .field import Field, Limit, Size

_LONGEST_AMOUNT = 24
_INTEGER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Amount(Field):
    """Take an amount between two limits, which are written as users write it."""

    min: Size = None
    max: Size = None
    unit: str = ""

    def __post_init__(self) -> None:
        try:
            self.bound("min"), self.bound("max")
        except OptionsError as error:
            raise ValueError(f"a limit of an option is wrong: {error}") from error
        super().__post_init__()

    def number(self, text: str) -> int:
        """Return the amount in its smallest unit. Raises OptionsError."""
        raise NotImplementedError

    def show(self, number: int) -> str:
        """Return an amount as text that every scheduler's template takes."""
        return str(number)

    def say(self, number: int) -> str:
        """Return an amount as people write it."""
        return self.show(number)

    def bound(self, which: str) -> int | None:
        """Return the limit `min` or `max` in the smallest unit, None where there is none."""
        limit = getattr(self, which)
        return None if limit is None else self.number(str(limit))

    def read_text(self, text: str) -> str:
        if len(text) > _LONGEST_AMOUNT:
            raise self.refusal(text, f"give at most {_LONGEST_AMOUNT} characters")
        try:
            number = self.number(text)
        except OptionsError as error:
            allowed = "; ".join(filter(None, (error.allowed, self.allowed)))
            raise self.refusal(text, allowed) from None
        low, high = self.bound("min"), self.bound("max")
        if (low is not None and number < low) or (high is not None and number > high):
            raise self.refusal(text, self.allowed)
        return self.show(number)

    def within(self, limit: Limit) -> Amount:
        lows = [one for one in (self.min, limit.min) if one is not None]
        highs = [one for one in (self.max, limit.max) if one is not None]
        return replace(
            self,
            default="",
            min=max(lows, key=self._size, default=None),
            max=min(highs, key=self._size, default=None),
        )

    def cut(self, value: Any) -> Any:
        low, high = self.bound("min"), self.bound("max")
        if value == "":
            return value
        number = self.number(str(value))
        number = number if high is None else min(number, high)
        return self.show(number if low is None else max(number, low))

    @property
    def allowed(self) -> str:
        low, high = (
            None if number is None else self.say(number)
            for number in (self.bound("min"), self.bound("max"))
        )
        unit = f" {self.unit}" if self.unit else ""
        if low is not None and high is not None:
            return f"choose from {low} to {high}{unit}"
        if high is not None:
            return f"choose at most {high}{unit}"
        return "" if low is None else f"choose at least {low}{unit}"

    def _size(self, bound: Size) -> int:
        return self.number(str(bound))


@dataclass(frozen=True)
class Integer(Amount):
    """Take a whole number."""

    min: Size = 0
    kind: ClassVar[str] = "integer"

    def number(self, text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise self.refusal(text, "give a whole number")
        return int(text)


@dataclass(frozen=True)
class Memory(Amount):
    """Take an amount of memory with its unit, such as ``4G``."""

    min: Size = "1M"
    kind: ClassVar[str] = "memory"

    def number(self, text: str) -> int:
        size = units.memory(self.name, text)
        if size >= 2**60:
            raise self.refusal(text, "that is too much")
        return size

    def show(self, number: int) -> str:
        mega = -(-number // 2**20)
        return f"{mega // 1024}G" if mega and mega % 1024 == 0 else f"{mega}M"


@dataclass(frozen=True)
class Duration(Amount):
    """Take a time such as ``90`` (minutes), ``8:00:00`` or ``1d 12h``."""

    min: Size = "00:01:00"
    kind: ClassVar[str] = "duration"

    def number(self, text: str) -> int:
        seconds = units.seconds(self.name, text)
        if seconds > 10 * 366 * 86400:
            raise self.refusal(text, "that is too long")
        return seconds

    def show(self, number: int) -> str:
        return _clock(number)

    def say(self, number: int) -> str:
        return say_duration(number)


def say_duration(seconds: int) -> str:
    """Return a time as people write it: ``1d 12h``."""
    if seconds % 60 or not seconds:
        return _clock(seconds)
    parts = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
