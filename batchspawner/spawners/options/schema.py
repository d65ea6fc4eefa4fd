"""A closed set of fields, against which everything that a user chose is checked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tornado import web

from ...errors import OptionsError
from ...translation import gettext as _
from ...translation import translated
from .field_kinds import Choice, Field, Limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .base import Value

OTHER = "--other"
"""What follows a choice's name in the form's field for a value that is not in its list."""

PRESET = "--preset"
"""Name of the form's field for a preset."""

LANGUAGE = "--language"
"""Name of the form's hidden field for its language: who reads it may have seen no request."""

NOT_OPTIONS = frozenset({"_xsrf", "next", "display_name", PRESET, LANGUAGE})
"""What else is in the address or the body of a request, from JupyterHub and for presets."""


def language_of(form: Mapping[str, Sequence[str]]) -> str:
    """Return the language in which a form says that it was shown, empty if it does not."""
    return str((form.get(LANGUAGE) or [""])[0])


class OptionsRefused(web.HTTPError):
    """The answer to a request whose options are not allowed; it says what is."""

    def __init__(self, error: OptionsError | str) -> None:
        text = translated(error.message) if isinstance(error, OptionsError) else error
        super().__init__(400, text)
        self.jupyterhub_message = text

    def __str__(self) -> str:
        # JupyterHub 4 shows this.
        return self.jupyterhub_message


@contextmanager
def refusing_values_of(given: Mapping[str, object]) -> Iterator[None]:
    """Raise OptionsRefused for an OptionsError in the block about a value that a user gave.

    What a form of the site's own asks for is only read where the script is filled.
    """
    try:
        yield
    except OptionsError as error:
        if error.option.removeprefix("req_") in given:
            raise OptionsRefused(error) from error
        raise


@dataclass(frozen=True)
class Schema:
    """The fields of one form. Whatever is not a field is refused."""

    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one option has the name {twice[0]!r}")

    def check(self, given: object) -> dict[str, Value]:
        """Return the values for a user's choice, defaults included.

        Fields without a value are left out. Raises OptionsError for the first value that is not
        allowed.
        """
        if not isinstance(given, Mapping):
            raise OptionsError("options", type(given).__name__, "give an object of options")
        self._check_names(given)
        values: dict[str, Value] = {}
        for field in sorted(self.fields, key=_narrows_nothing):
            value = self._value(field, given.get(field.name), values)
            if value != "":
                values[field.name] = value
            elif field.required:
                raise field.refusal("", field.allowed or _("a value is needed"))
        return {field.name: values[field.name] for field in self.fields if field.name in values}

    def _check_names(self, given: Mapping[object, object]) -> None:
        known = [field.name for field in self.fields]
        for name in given:
            if name not in known:
                allowed = f"the options are {', '.join(known)}" if known else "there are no options"
                shown = str(name)[:60] if isinstance(name, str) else type(name).__name__
                raise OptionsError("options", shown, allowed)

    def _value(self, field: Field, given: object, others: Mapping[str, Value]) -> Value:
        narrowed, because, default = field, "", field.default
        for limit, reason in self._limits(field.name, others):
            narrowed, because = narrowed.within(limit), " ".join(filter(None, (because, reason)))
            default = default if limit.default is None else limit.default
        try:
            value = "" if given is None else narrowed.read(given)
        except OptionsError as error:
            allowed = " ".join(filter(None, (error.allowed, because)))
            raise OptionsError(error.option, error.given, allowed, error.label) from None
        if value == "" and default != "":
            value = narrowed.clamp(field.read(default))
        return value

    def _limits(self, name: str, values: Mapping[str, Value]) -> list[tuple[Limit, str]]:
        found = []
        for other in self.fields:
            option = other.option(values.get(other.name, "")) if isinstance(other, Choice) else None
            if option is not None and name in option.limits:
                found.append(
                    (
                        option.limits[name],
                        _("with %(choice)s", choice=f"{other.name} {option.value}"),
                    )
                )
        return found

    def restored(self, last: object) -> dict[str, Value]:
        """Return what is still allowed of an earlier choice, and defaults for the rest."""
        earlier: Mapping[object, object] = last if isinstance(last, Mapping) else {}
        values = {one.name: earlier[one.name] for one in self.fields if one.name in earlier}
        try:
            return self.check(values)
        except OptionsError as error:
            if error.option not in values:
                return {field.name: field.default for field in self.fields if field.default}
            del values[error.option]
            return self.restored(values)

    def from_form(self, form: Mapping[str, object], prefix: str = "") -> dict[str, object]:
        """Return the options in a form or an address, each the last value of its name."""
        given: dict[str, object] = {}
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
    """Return the key by which `sorted` puts the choices that narrow others first."""
    narrows = isinstance(field, Choice) and any(option.limits for option in field.options)
    return not narrows
