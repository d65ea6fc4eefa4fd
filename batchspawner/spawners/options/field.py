"""Say what all options of users have in common, and how one narrows another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, Union

from ...errors import OptionsError

F = TypeVar("F", bound="Field")

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

NEVER = frozenset({"cmd", "path", "profile", "username", "homedir", "keepvars", "keepvars_extra"})
"""Names that no field may have, because the library itself gives them a value."""

_SHOWN = 80

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
