"""Say in plain words why a job waits: the form of the tables, and how they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH = 200
"""Characters of a scheduler's own words that are shown at most."""


@dataclass(frozen=True)
class Reason:
    """Hold what a scheduler's words mean, and what the waiting user can do.

    `pattern` is looked for anywhere in the words, case aside; its named groups are filled into
    both sentences. `meaning` completes "It waits: "; `advice` is a whole sentence, or empty where
    there is nothing to do but wait. `forever` says that the job does not start by waiting,
    `of_cores` that its user's cores in use are what keeps it.
    """

    pattern: str
    meaning: str
    advice: str = ""
    forever: bool = False
    of_cores: bool = False


@dataclass(frozen=True)
class Explanation:
    """Hold the words for one job; `native` is what the scheduler said, for who supports users."""

    meaning: str = ""
    advice: str = ""
    native: str = ""
    forever: bool = False
    of_cores: bool = False


def explain(table: Sequence[Reason], native: str) -> Explanation:
    """Return the first explanation that fits; without one, the scheduler's words stand alone."""
    words = " ".join(native.split())
    if len(words) > _LENGTH:
        words = f"{words[: _LENGTH - 1]}…"
    for reason in table:
        match = re.search(reason.pattern, words, re.IGNORECASE)
        if match:
            groups = {name: text or "" for name, text in match.groupdict().items()}
            meaning, advice = (text.format(**groups) for text in (reason.meaning, reason.advice))
            return Explanation(meaning, advice, words, reason.forever, reason.of_cores)
    return Explanation(native=words)
