"""Keep the prose of the pages in one line width, and in words that readers know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.test_links import PAGES

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 100
_CODE = re.compile(r"^```.*?^```$|(?<=\n\n)(?: {4}[^\n]*\n)+", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(`+).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\([^)]*\)")

RETIRED = re.compile(
    r"\b(?:crews?|recruit\w*|bury|buried|keepers?|guests?|lookout|outlook|surroundings|leftovers?"
    r"|letter of|adopt(?:s|ed|ion)?|thie(?:f|ves)|hands? (?:calls|that)|travels?"
    # Turns that nobody uses in speech.
    r"|for ever|in vain|anew|as ever|what of|comes? of (?:it|this|that)|(?<!there )is none"
    r"|(?:can|cannot|could|to) be had|mend(?:s|ed|ing)?|heeds?|good for one|stands? in the place"
    r"|where (?:not|(?:that|there) (?:is|has|does))\b"
    # A user is "they".
    r"|he|him|his|himself)\b",
    re.IGNORECASE,
)
"""Words of ours for what has a name in the field, which architecture.md lists, and old turns."""


def prose(text: str) -> str:
    """Return the text of a page with the lines of its code left empty."""
    return _CODE.sub(lambda code: "\n" * code[0].count("\n"), text)


def long_lines(text: str) -> list[int]:
    """Return the numbers of the lines that are too long; tables, headings and pictures may be."""
    return [
        number
        for number, line in enumerate(prose(text).splitlines(), 1)
        if len(line) > WIDTH and " " in line.strip() and not line.startswith(("|", "#", "!["))
    ]


def retired_words(text: str) -> list[str]:
    """Return the words of a page that it should not have; code and addresses have none."""
    said = _LINK.sub("]", _SPAN.sub("", prose(text)))
    return [match[0] for match in RETIRED.finditer(" ".join(said.split()))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_wrapped_at_one_width(page: Path):
    assert long_lines(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_written_in_plain_english(page: Path):
    assert retired_words(page.read_text(encoding="utf-8")) == []


LONG = "word " * 21


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (f"one\n{LONG}\n", [2]),
        (f"- an item\n  {LONG}\n", [2]),
        (f"| {LONG} |\n# {LONG}\n", []),
        (f"```sh\n{LONG}\n```\n\n    {LONG}\n    {LONG}\n\n{LONG}\n", [8]),
        (f"[{'a' * 60}](https://{'a' * 60})\n", []),
    ],
)
def test_long_lines_are_found(text: str, numbers: list[int]):
    assert long_lines(text) == numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It waits for\never, and mends it.", ["for ever", "mends"]),
        ("| He | his file |", ["He", "his"]),
        ("`for ever` and [a](keeper.md)\n```\nguest\n```\n", []),
        ("Where there is one, where not, and where it is.", ["Where there is", "where not"]),
        ("The Hub, this page, the recommended way and what offers", []),
    ],
)
def test_retired_words_are_found(text: str, words: list[str]):
    assert retired_words(text) == words
