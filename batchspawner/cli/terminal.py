"""Output of the subcommands on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..columns import in_columns

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text, of which the first is the head, in columns."""
    print(in_columns(rows))
