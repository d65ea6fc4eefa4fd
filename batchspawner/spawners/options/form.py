"""The form of declared options, in the look of the Hub's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...templating import render_page
from ...translation import gettext as _
from .field_kinds import Amount, Choice, Duration, Field, Limit, Text
from .schema import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .base import Value
    from .schema import Schema


def render_options(
    schema: Schema,
    values: Mapping[str, Value],
    folders: Sequence[str],
    availability: Mapping[str, object] | None = None,
    estimate_url: str = "",
    presets: Sequence[Mapping[str, object]] = (),
    store: str = "",
) -> str:
    """Return the form of one spawner."""
    variables = {
        "fields": shown_fields(schema, values),
        "availability": availability,
        "estimate_url": estimate_url,
        "presets": presets,
        "store": store,
    }
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
        # What a site has written is in its own catalogues.
        "label": _(field.label),
        "help": _(field.help),
        "allowed": "",
        # In a form of several parts the browser must not ask for what is not shown.
        "required": field.required and not prefix,
        "advanced": field.advanced,
        "value": value,
        "changed": value != field.default,
        "default": field.default,
        "blank": "" if field.required else field.blank,
        "choices": [],
        "other": None,
    }
    if isinstance(field, Amount):
        limits = _limits(field)
        shown.update({name: limits[name] for name in ("min", "max", "allowed")})
        shown.update(limits=limits, placeholder=_placeholder(field))
        shown.update(_listed_amounts(field, value, input_name) if field.choices else {})
    elif isinstance(field, Text):
        shown.update(
            pattern=field.pattern,
            hint=_(field.pattern_help),
            max_length=field.max_length,
            limits=_limits(field),
        )
    elif isinstance(field, Choice):
        shown.update(_choices(schema, field, value, input_name))
    return shown


def _placeholder(field: Amount) -> str:
    example = {"memory": "4G", "duration": "8:00:00, 1d 12h"}.get(field.kind)
    return _("such as %(example)s", example=example) if example else ""


def _listed_amounts(field: Amount, value: Value, name: str) -> dict[str, object]:
    """Return the amounts of a list, and the field beside it for any other."""
    numbers = [field.number(one) for one in field.choices]
    listed = [field.to_text(number) for number in numbers]
    return {
        "choices": [
            {
                "value": text,
                "label": field.display(number),
                "help": "",
                "number": number,
                "limits": {},
            }
            for text, number in zip(listed, numbers)
        ],
        "other": {
            "marker": OTHER,
            "label": _("Another time") if isinstance(field, Duration) else _("Another amount"),
            "input": f"{name}{OTHER}",
            "value": "" if value in listed else value,
        },
    }


def _choices(schema: Schema, field: Choice, value: Value, name: str) -> dict[str, object]:
    fields = {one.name: one for one in schema.fields}
    options = [
        {
            "value": option.value,
            "label": option.label or option.value,
            "help": _(option.help),
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
        "help": _(field.other.pattern_help),
    }
    return {"choices": options, "other": other}


def _limits(field: Field, limit: Limit | None = None) -> dict[str, object]:
    """Return the limits in force, for the script in the page."""
    low, high, allowed, default = None, None, "", None
    if isinstance(field, Amount):
        low, high = field.bounds()
        allowed = field.allowed and f"{field.allowed[0].upper()}{field.allowed[1:]}."
    values = None if limit is None or limit.values is None else list(limit.values)
    if limit is not None and limit.default is not None:
        default = field.clamp(str(limit.default))
    return {"min": low, "max": high, "allowed": allowed, "values": values, "default": default}
