"""Declare what users may choose: one declaration renders the form and checks what comes back.

A field is named after the trait that it replaces, without its ``req_``: ``Integer("nprocs")``
stands for ``req_nprocs`` in the job script. All values that leave a field are text of a closed
form, except those of `Bool`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Union

from .. import units
from ..errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping

F = TypeVar("F", bound="Field")

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

NEVER = frozenset({"cmd", "path", "profile", "username", "homedir", "keepvars", "keepvars_extra"})
"""Names that no field may have, because the library itself gives them a value."""

_SHOWN = 80
_LONGEST_AMOUNT = 24
_PLAIN = r"[A-Za-z0-9_.,:@+/=][A-Za-z0-9_.,:@+/=-]*"
_PLAIN_HELP = "use letters, digits and _ . , : @ + / = -"
_INTEGER = re.compile(r"[0-9]{1,9}")
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("", "0", "false", "off", "no")

Size = Union[str, int, None]


@dataclass(frozen=True)
class Limit:
    """Narrow a field while another one has a certain value; None narrows nothing."""

    min: Size = None
    max: Size = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Field:
    """Hold what the fields of all kinds have in common."""

    name: str
    label: str = ""
    help: str = ""
    default: Any = ""
    required: bool = False
    advanced: bool = False
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in NEVER:
            raise ValueError(
                f"an option cannot be called {self.name!r}; use small letters, digits and _, "
                f"and none of {', '.join(sorted(NEVER))}"
            )
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " ").capitalize())
        if self.default != "":
            try:
                self.read(self.default)
            except OptionsError as error:
                raise ValueError(f"the default of an option is wrong: {error}") from error

    def read(self, given: object) -> Any:
        """Return a value in this field's own form, ``""`` for none.

        Raises OptionsError for what is not allowed.
        """
        text = self.text(given)
        return self.read_text(text) if text else ""

    def read_text(self, text: str) -> str:
        raise NotImplementedError

    def text(self, given: object) -> str:
        """Return what was given as text. Raises OptionsError for anything else."""
        if given is None:
            return ""
        if isinstance(given, int) and not isinstance(given, bool) and abs(given) < 10**18:
            return str(given)
        if not isinstance(given, str):
            raise self.refusal(given, "give a text or a whole number")
        if not given.isprintable():
            raise self.refusal(given, "it must be one line without control characters")
        return given.strip()

    def refusal(self, given: object, allowed: str) -> OptionsError:
        """Return the error about a value, which it quotes shortly."""
        shown = given if isinstance(given, (str, int, float, bool)) else type(given).__name__
        if isinstance(shown, int) and abs(shown) >= 10**18:
            shown = "a very large number"
        if isinstance(shown, str) and len(shown) > _SHOWN:
            shown = f"{shown[:_SHOWN]}…"
        plain = self.label.lower().replace(" ", "_") == self.name
        return OptionsError(self.name, shown, allowed, "" if plain else self.label)

    def within(self: F, limit: Limit) -> F:  # noqa: ARG002  (for those that can be narrowed)
        """Return this field as it is while a limit holds."""
        return self

    def cut(self, value: Any) -> Any:
        """Return the nearest allowed value to one that nobody chose."""
        return value

    @property
    def allowed(self) -> str:
        """Say in words what is allowed."""
        return ""


@dataclass(frozen=True)
class Text(Field):
    """Take one line of text that a regular expression matches as a whole."""

    pattern: str = _PLAIN
    pattern_help: str = _PLAIN_HELP
    max_length: int = 200
    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"the pattern of the option {self.name!r}: {error}") from error
        if self.pattern != _PLAIN and self.pattern_help == _PLAIN_HELP:
            object.__setattr__(self, "pattern_help", f"it must match {self.pattern}")
        super().__post_init__()

    def read_text(self, text: str) -> str:
        if len(text) > self.max_length:
            raise self.refusal(text, f"give at most {self.max_length} characters")
        if not re.fullmatch(self.pattern, text):
            raise self.refusal(text, self.pattern_help)
        return text


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


@dataclass(frozen=True)
class Bool(Field):
    """Take yes or no."""

    default: Any = False
    kind: ClassVar[str] = "bool"

    def read(self, given: object) -> bool:
        if given is None or isinstance(given, bool):
            return bool(given)
        word = given.lower() if isinstance(given, str) else given
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise self.refusal(given, "choose true or false")


@dataclass(frozen=True)
class Option:
    """Offer one value of a `Choice`; `limits` narrow other fields, by name, while it is chosen."""

    value: str
    label: str = ""
    help: str = ""
    limits: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice(Field):
    """Take one of some values, each a text or an `Option`; with `other`, also text like that."""

    choices: tuple[Any, ...] = ()
    other: Text | None = None
    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        options = tuple(
            one if isinstance(one, Option) else Option(str(one)) for one in self.choices
        )
        object.__setattr__(self, "choices", options)
        super().__post_init__()

    def read_text(self, text: str) -> str:
        if any(option.value == text for option in self.choices):
            return text
        if self.other is not None:
            try:
                return self.other.read_text(text)
            except OptionsError as error:
                raise self.refusal(text, f"{self.allowed}, or: {error.allowed}") from None
        raise self.refusal(text, self.allowed)

    def chosen(self, value: str) -> Option | None:
        """Return the option with this value."""
        return next((option for option in self.choices if option.value == value), None)

    def within(self, limit: Limit) -> Choice:
        if limit.values is None:
            return self
        kept = tuple(option for option in self.choices if option.value in limit.values)
        return replace(self, choices=kept, default="")

    def cut(self, value: Any) -> Any:
        return value if self.other or self.chosen(value) or not value else ""

    @property
    def allowed(self) -> str:
        names = [option.value for option in self.choices]
        return f"choose one of {', '.join(names)}" if names else "there is nothing to choose"
