"""The kinds of fields: one declaration renders the form and checks what comes back.

A field is named after the trait that it replaces, without its ``req_``: ``Integer("nprocs")``
stands for ``req_nprocs`` in the job script. The values of all fields are text of a closed
form, except those of `Bool`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from ...errors import OptionsError
from ...translation import gettext as _
from .amounts import Amount, Duration, Integer, Memory
from .base import Field, Limit, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Amount",
    "Bool",
    "Choice",
    "Duration",
    "Field",
    "Integer",
    "Limit",
    "Memory",
    "Option",
    "Text",
]

_PLAIN = r"[A-Za-z0-9_.,:@+/=][A-Za-z0-9_.,:@+/=-]*"
_PLAIN_HELP = "use letters, digits and _ . , : @ + / = -"
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("", "0", "false", "off", "no")


@dataclass(frozen=True)
class Text(Field):
    """One line of text that a regular expression matches as a whole."""

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
            raise self.refusal(
                text, _("give at most %(number)s characters", number=self.max_length)
            )
        if not re.fullmatch(self.pattern, text):
            raise self.refusal(text, _(self.pattern_help))
        return text


@dataclass(frozen=True)
class Bool(Field):
    """Yes or no."""

    default: Value = False
    kind: ClassVar[str] = "bool"

    def read(self, given: object) -> bool:
        if given is None or isinstance(given, bool):
            return bool(given)
        word = given.lower() if isinstance(given, str) else given
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise self.refusal(given, _("choose true or false"))


@dataclass(frozen=True)
class Option:
    """One value of a `Choice`; `limits` narrow other fields, by name, while it is chosen."""

    value: str
    label: str = ""
    help: str = ""
    limits: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice(Field):
    """One of several values, each a text or an `Option`; with `other`, also text like that."""

    choices: tuple[Option | str, ...] = ()
    other: Text | None = None
    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        options = tuple(
            one if isinstance(one, Option) else Option(str(one)) for one in self.choices
        )
        object.__setattr__(self, "choices", options)
        super().__post_init__()

    @property
    def options(self) -> tuple[Option, ...]:
        """All of `choices`, which are options once the field has been made."""
        return tuple(one for one in self.choices if isinstance(one, Option))

    def option(self, value: object) -> Option | None:
        """Return the option with this value, None if there is none."""
        return next((option for option in self.options if option.value == value), None)

    def read_text(self, text: str) -> str:
        if self.option(text):
            return text
        if self.other is not None:
            try:
                return self.other.read_text(text)
            except OptionsError as error:
                raise self.refusal(
                    text, _("%(choices)s, or: %(other)s", choices=self.allowed, other=error.allowed)
                ) from None
        raise self.refusal(text, self.allowed)

    def within(self, limit: Limit) -> Choice:
        if limit.values is None:
            return self
        allowed = tuple(option for option in self.options if option.value in limit.values)
        return replace(self, choices=allowed, default="")

    def clamp(self, value: Value) -> Value:
        return value if self.other or self.option(value) or not value else ""

    @property
    def allowed(self) -> str:
        names = [option.value for option in self.options]
        if not names:
            return _("there is nothing to choose")
        return _("choose one of %(names)s", names=", ".join(names))
