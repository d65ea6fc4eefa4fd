"""Check all that a user has chosen against a closed set of fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tornado import web

from ...errors import OptionsError
from .fields import Choice, Field, Limit

OTHER = "--other"
"""What follows a choice's name in the form's field for a value that is not in its list."""

NOT_OPTIONS = frozenset({"_xsrf", "next", "display_name"})
"""What JupyterHub itself puts into the address or the body of a request."""


class OptionsRefused(web.HTTPError):
    """Answer a request with what was wrong with its options."""

    def __init__(self, error: OptionsError | str) -> None:
        super().__init__(400, str(error))
        self.jupyterhub_message = str(error)

    def __str__(self) -> str:
        # JupyterHub 4 shows this.
        return self.jupyterhub_message


@dataclass(frozen=True)
class Schema:
    """Hold the fields of one form. Whatever is not a field is refused."""

    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one option has the name {twice[0]!r}")

    def check(self, given: object) -> dict[str, Any]:
        """Return the values, defaults included, that a user's choice comes to.

        What has no value is left out. Raises OptionsError for the first value that is not allowed.
        """
        if not isinstance(given, Mapping):
            raise OptionsError("options", type(given).__name__, "give an object of options")
        self._check_names(given)
        values: dict[str, Any] = {}
        for field in sorted(self.fields, key=_narrows_nothing):
            value = self._value(field, given.get(field.name), values)
            if value != "":
                values[field.name] = value
            elif field.required:
                raise field.refusal("", field.allowed or "a value is needed")
        return {field.name: values[field.name] for field in self.fields if field.name in values}

    def _check_names(self, given: Mapping[Any, Any]) -> None:
        known = [field.name for field in self.fields]
        for name in given:
            if name not in known:
                allowed = f"the options are {', '.join(known)}" if known else "there are no options"
                shown = str(name)[:60] if isinstance(name, str) else type(name).__name__
                raise OptionsError("options", shown, allowed)

    def _value(self, field: Field, given: object, others: Mapping[str, Any]) -> Any:
        narrowed, because = field, ""
        for limit, reason in self._limits(field.name, others):
            narrowed, because = narrowed.within(limit), f"{because} with {reason}"
        try:
            value = "" if given is None else narrowed.read(given)
        except OptionsError as error:
            allowed = f"{error.allowed}{because}"
            raise OptionsError(error.option, error.given, allowed, error.label) from None
        if value == "" and field.default != "":
            value = narrowed.cut(field.read(field.default))
        return value

    def _limits(self, name: str, values: Mapping[str, Any]) -> list[tuple[Limit, str]]:
        found = []
        for other in self.fields:
            option = other.chosen(values.get(other.name, "")) if isinstance(other, Choice) else None
            if option is not None and name in option.limits:
                found.append((option.limits[name], f"{other.name} {option.value}"))
        return found

    def restored(self, last: object) -> dict[str, Any]:
        """Return of an earlier choice what is still allowed, else the defaults."""
        kept = last if isinstance(last, Mapping) else {}
        kept = {field.name: kept[field.name] for field in self.fields if field.name in kept}
        try:
            return self.check(kept)
        except OptionsError as error:
            if error.option not in kept:
                return {field.name: field.default for field in self.fields if field.default}
            del kept[error.option]
            return self.restored(kept)

    def from_form(self, form: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """Return the options in a form or an address, each the last value of its name."""
        given: dict[str, Any] = {}
        for name, listed in form.items():
            if name in NOT_OPTIONS or not name.startswith(prefix):
                continue
            value = listed[-1] if isinstance(listed, list) and listed else listed
            given[name[len(prefix) :]] = value
        for name in [name for name in given if name.endswith(OTHER)]:
            other = given.pop(name)
            if given.get(name[: -len(OTHER)]) == OTHER:
                given[name[: -len(OTHER)]] = other
        return given


def _narrows_nothing(field: Field) -> bool:
    """Put first, for `sorted`, the choices that narrow others."""
    narrows = isinstance(field, Choice) and any(option.limits for option in field.choices)
    return not narrows
