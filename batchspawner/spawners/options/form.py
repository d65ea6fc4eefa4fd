"""The form of declared options, in the look of the Hub's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...templating import render_page
from .fields import Amount, Choice, Field, Limit, Text
from .schema import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .base import Value
    from .schema import Schema

_PLACEHOLDERS = {"memory": "such as 4G", "duration": "such as 8:00:00 or 1d 12h"}


def render_options(
    schema: Schema,
    values: Mapping[str, Value],
    folders: Sequence[str],
    availability: Mapping[str, object] | None = None,
) -> str:
    """Return the form of one spawner."""
    variables = {"fields": shown_fields(schema, values), "availability": availability}
    return render_page("forms/options.html", variables, folders)


def shown_fields(
    schema: Schema, values: Mapping[str, Value], prefix: str = "", anchor: str = "bs-"
) -> list[dict[str, object]]:
    """Return the fields as the templates show them.

    `prefix` keeps the names of several forms in one page apart, `anchor` their ids.
    """
    return [
        {
            **shown_field(schema, field, values.get(field.name, ""), prefix),
            "id": f"{anchor}{field.name}",
        }
        for field in schema.fields
    ]


def shown_field(schema: Schema, field: Field, value: Value, prefix: str) -> dict[str, object]:
    """Return what `forms/fields.html` needs to know of one field."""
    input_name = f"{prefix}{field.name}"
    shown: dict[str, object] = {
        "name": field.name,
        "input": input_name,
        "kind": field.kind,
        "label": field.label,
        "help": field.help,
        "allowed": "",
        # In a form of several parts the browser must not ask for what is not shown.
        "required": field.required and not prefix,
        "advanced": field.advanced,
        "value": value,
        "changed": value != field.default,
    }
    if isinstance(field, Amount):
        limits = _limits(field)
        shown.update(limits, limits=limits, placeholder=_PLACEHOLDERS.get(field.kind, ""))
    elif isinstance(field, Text):
        shown.update(
            pattern=field.pattern,
            hint=field.pattern_help,
            max_length=field.max_length,
            limits={"min": None, "max": None, "allowed": ""},
        )
    elif isinstance(field, Choice):
        shown.update(_choices(schema, field, value, input_name))
    return shown


def _choices(schema: Schema, field: Choice, value: Value, name: str) -> dict[str, object]:
    fields = {one.name: one for one in schema.fields}
    options = [
        {
            "value": option.value,
            "label": option.label or option.value,
            "help": option.help,
            "limits": {
                other: _limits(fields[other].within(limit), limit)
                for other, limit in option.limits.items()
                if other in fields
            },
        }
        for option in field.options
    ]
    other = field.other and {
        "marker": OTHER,
        "label": field.other.label,
        "input": f"{name}{OTHER}",
        "value": "" if field.option(value) else value,
        "max_length": field.other.max_length,
        "pattern": field.other.pattern,
        "help": field.other.pattern_help,
    }
    return {"choices": options, "other": other}


def _limits(field: Field, limit: Limit | None = None) -> dict[str, object]:
    """Return the limits in force, for the script in the page."""
    low, high, allowed = None, None, ""
    if isinstance(field, Amount):
        low, high = field.bounds()
        allowed = field.allowed and f"{field.allowed[0].upper()}{field.allowed[1:]}."
    values = None if limit is None or limit.values is None else list(limit.values)
    return {"min": low, "max": high, "allowed": allowed, "values": values}
