"""Fields that a configuration declares as dictionaries."""

from __future__ import annotations

from dataclasses import fields

from .field_kinds import Bool, Choice, Duration, Field, Integer, Limit, Memory, Option, Text

_KINDS: dict[str, type[Field]] = {
    cls.kind: cls for cls in (Text, Integer, Memory, Duration, Bool, Choice)
}


def field_of(declaration: object) -> Field:
    """Return the field that a configuration declares, as a `Field` or as a dictionary.

    A dictionary names its `type`, ``integer`` for example. Raises ValueError for what is neither.
    """
    if isinstance(declaration, Field):
        return declaration
    if not isinstance(declaration, dict):
        raise ValueError(f"an option is a field or a dictionary, not {declaration!r}")
    given = dict(declaration)
    cls = _KINDS.get(str(given.pop("type", "text")))
    if cls is None:
        raise ValueError(f"the option {declaration!r}: `type` is one of {', '.join(_KINDS)}")
    known = {one.name for one in fields(cls)}
    if not {"name"} <= given.keys() <= known:
        wrong = ", ".join(sorted(given.keys() - known)) or "no name"
        raise ValueError(f"the option {declaration!r} has {wrong}; known: {sorted(known)}")
    if "choices" in given:
        given["choices"] = tuple(map(_option_of, given["choices"]))
    if isinstance(given.get("other"), dict):
        given["other"] = Text(given["name"], **given["other"])
    return cls(**given)


def _option_of(declaration: object) -> object:
    if not isinstance(declaration, dict):
        return declaration
    limits = {name: Limit(**limit) for name, limit in declaration.get("limits", {}).items()}
    return Option(**{**declaration, "limits": limits})
