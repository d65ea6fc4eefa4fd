"""What users may choose: fields, the form made of them, and the check of what comes back."""

from .field_kinds import Amount, Bool, Choice, Duration, Field, Integer, Limit, Memory, Option, Text

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
