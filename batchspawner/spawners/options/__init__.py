"""What users may choose: fields, the form that is made of them, the check of what comes back."""

from .fields import (
    Amount,
    Bool,
    Choice,
    Duration,
    Field,
    Integer,
    Limit,
    Memory,
    Option,
    Text,
)

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
