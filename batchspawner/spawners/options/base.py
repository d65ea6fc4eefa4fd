"""A single option of a form: what fields of all kinds have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, TypeVar, Union

from ...errors import OptionsError
from ...translation import gettext as _

F = TypeVar("F", bound="Field")

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

RESERVED = frozenset(
    {"cmd", "path", "keepvars", "keepvars_extra", "username", "homedir", "environment_file"}
)
"""Variables of the job script that users never choose: what runs, as whom, with which secrets."""

_NOT_FIELDS = RESERVED | {"profile"}
"""Names that no field may have; `profile` is the key by which options name a profile."""

_MAX_QUOTED_LENGTH = 80
_MAX_QUOTED_NUMBER = 10**18

Value = Union[str, int]
"""A value: text (``""`` for none), or True and False for a `Bool`; a default may be a number."""

Size = Union[str, int, None]


@dataclass(frozen=True)
class Limit:
    """Narrower limits of a field while another field has a certain value; None changes nothing.

    `min` and `max` are written as users write amounts, such as ``4G`` or ``8:00:00``; `values` are
    those of a `Choice`. `default` is the value of the field for users who give none.
    """

    min: Size = None
    max: Size = None
    values: tuple[str, ...] | None = None
    default: Size = None


@dataclass(frozen=True)
class Field:
    """Base class of the fields of all kinds.

    `name` is the variable of the job script, `label` and `help` are what users read. `default` is
    the value if they choose none, `required` refuses that, and an `advanced` field is folded away.
    `blank` says what becomes of a field that is left blank, such as "the default of the queue".
    """

    name: str
    label: str = ""
    help: str = ""
    default: Value = ""
    required: bool = False
    advanced: bool = False
    blank: str = ""
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in _NOT_FIELDS:
            raise ValueError(
                f"an option cannot be called {self.name!r}; use small letters, digits and _, "
                f"and none of {', '.join(sorted(_NOT_FIELDS))}"
            )
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " ").capitalize())
        if self.default != "":
            try:
                self.read(self.default)
            except OptionsError as error:
                raise ValueError(f"the default of an option is wrong: {error}") from error

    def read(self, given: object) -> Value:
        """Return a value in this field's own form, ``""`` for none.

        Raises OptionsError for what is not allowed.
        """
        text = self.text(given)
        return self.read_text(text) if text else ""

    def read_text(self, text: str) -> str:
        """Return a text that is not empty in this field's own form. Raises OptionsError."""
        raise NotImplementedError

    def text(self, given: object) -> str:
        """Return what was given as text. Raises OptionsError for anything else."""
        if given is None:
            return ""
        if isinstance(given, int) and not isinstance(given, bool):
            if abs(given) < _MAX_QUOTED_NUMBER:
                return str(given)
        elif isinstance(given, str):
            if given.isprintable():
                return given.strip()
            raise self.refusal(given, _("it must be one line without control characters"))
        raise self.refusal(given, _("give a text or a whole number"))

    def refusal(self, given: object, allowed: str) -> OptionsError:
        """Return the error about a value, which it quotes in short."""
        shown: str | float = given if isinstance(given, (str, int, float)) else type(given).__name__
        if isinstance(shown, int) and abs(shown) >= _MAX_QUOTED_NUMBER:
            shown = _("a very large number")
        if isinstance(shown, str) and len(shown) > _MAX_QUOTED_LENGTH:
            shown = f"{shown[:_MAX_QUOTED_LENGTH]}…"
        plain = self.label.lower().replace(" ", "_") == self.name
        return OptionsError(self.name, shown, allowed, "" if plain else self.label)

    def within(self: F, limit: Limit) -> F:  # noqa: ARG002  (for those that can be narrowed)
        """Return this field as it is while a limit applies."""
        return self

    def clamp(self, value: Value) -> Value:
        """Return the nearest allowed value to a default, which no user chose."""
        return value

    @property
    def allowed(self) -> str:
        """What is allowed, as a phrase for users; empty if everything is."""
        return ""
