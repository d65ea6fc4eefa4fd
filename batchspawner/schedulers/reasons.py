"""Explanations of why jobs wait: the form of the tables, and the search in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..message import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_CHARACTERS = 200
"""Of a scheduler's own words, this many are shown at most."""

ASK_SUPPORT = "Tell the support of this cluster the job's number."
USE_LESS = "Stop another server or job of yours, or ask for less."
WHEN_FREE = "It starts when enough is free. A smaller request may start earlier."
CHOOSE_OTHERS = "It will not start like this. Stop this server and choose other values."
RESOURCES_IN_USE = "what it needs is in use by others"
WAITS_FOR_A_JOB = "it waits for another job to end"


@dataclass(frozen=True)
class Reason:
    """Meaning of a scheduler's words, and what the waiting user can do.

    `pattern` is searched anywhere in the words, ignoring case; its named groups are filled into
    both sentences, for ``%(name)s``. `meaning` completes "It waits: "; `advice` is a whole
    sentence, or empty if there is nothing to do but wait. `forever` means that the job will not
    start by waiting, `of_cores` that it waits because of the cores that its user already uses.
    """

    pattern: str
    meaning: str
    advice: str = ""
    forever: bool = False
    of_cores: bool = False


@dataclass(frozen=True)
class Explanation:
    """Explanation for one job, in messages; `native` is the scheduler's own text."""

    meaning: str = ""
    advice: str = ""
    native: str = ""
    forever: bool = False
    of_cores: bool = False


def explain(table: Sequence[Reason], native: str) -> Explanation:
    """Return the first explanation that matches, or else the scheduler's words alone."""
    words = " ".join(native.split())
    if len(words) > _MAX_CHARACTERS:
        words = f"{words[: _MAX_CHARACTERS - 1]}…"
    for reason in table:
        match = re.search(reason.pattern, words, re.IGNORECASE)
        if match:
            groups = {name: text or "" for name, text in match.groupdict().items()}
            meaning, advice = (Message(one, **groups) for one in (reason.meaning, reason.advice))
            return Explanation(meaning, advice, words, reason.forever, reason.of_cores)
    return Explanation(native=words)
