"""docs/messages.md has every message of the code, and no other."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import pytest

from batchspawner import errors
from batchspawner.spawners.failures import causes
from tests.docs.printed import PROJECT, files, messages

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (PROJECT / "docs" / "messages.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^\| (.+?) \| .+ \|", PAGE, re.MULTILINE)
SPAN = re.compile(r"(`+)(.+?)\1")
ENTRIES = sorted({match[2] for cell in CELLS for match in SPAN.finditer(cell) if " " in match[2]})
"""The messages on the page; what has no space is the name of an exception."""

ELSEWHERE = {
    "batchspawner/checking/": "docs/check.md: each finding comes with its cure",
    "batchspawner/functions/check.py": "a program that says what it expected, and what it got",
    "batchspawner/__init__.py": "Python's own words for a name that a module does not have",
    "batchspawner/clusters/entry_points.py": "the same",
    "batchspawner/functions/__init__.py": "the same",
    "batchspawner/allocation/listener.py": "strangers that call: nobody reads it",
}


def pattern(entry: str) -> re.Pattern[str]:
    """Return the pattern of an entry, in which … stands for anything."""
    pieces = [re.escape(piece.strip()) for piece in entry.split("…")]
    return re.compile(".*".join(pieces))


PATTERNS = [pattern(entry) for entry in ENTRIES]


@functools.cache
def printed() -> list[tuple[str, str]]:
    """Return where each message of the code stands, and its text in one line."""
    return [
        (f"{name}:{line}", " ".join(text.split()))
        for file in files()
        if not (name := str(file.relative_to(PROJECT))).startswith(tuple(ELSEWHERE))
        for line, text in messages(file)
        # The name of a program before a message that stands elsewhere, and its arguments.
        if not re.fullmatch(r"batchspawner[\w -]*: …(: …)?|usage: .*", text)
    ]


def code() -> str:
    """Return the code, each text that goes over several lines put together."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in files())
    return " ".join(re.sub(r'"\s*\n\s*(?:text \+= )?(?:[fr]*")', "", text).split())


CODE = code()


def test_every_message_of_the_code_is_explained():
    missing = {
        where: text for where, text in printed() if not any(one.search(text) for one in PATTERNS)
    }
    assert missing == {}


def pieces(entry: str) -> list[str]:
    return [piece.strip() for piece in entry.split("…") if len(piece.strip()) > 3]


def test_every_message_of_the_page_is_in_the_code():
    assert [entry for entry in ENTRIES if not pieces(entry)] == []
    assert [one for entry in ENTRIES for one in pieces(entry) if one not in CODE] == []


def test_no_entry_fits_nearly_everything():
    texts = {text for _, text in printed()}
    fits = {entry: sum(1 for text in texts if pattern(entry).search(text)) for entry in ENTRIES}
    assert {entry: found for entry, found in fits.items() if found >= 15} == {}


def test_every_row_has_a_cause():
    rows = re.findall(r"^\| (`.+?) \| (.*?) \| (.*?) ?\|$", PAGE, re.MULTILINE)
    assert [message for message, cause, _ in rows if not cause.strip()] == []


def test_every_cause_of_a_failed_start_is_explained():
    titles = {one.title for one in vars(causes).values() if isinstance(one, causes.Cause)}
    assert {title for title in titles if f"`{title}`" not in PAGE} == set()


def test_every_error_of_the_library_is_explained():
    known = {name: one for name, one in vars(errors).items() if isinstance(one, type)}
    names = {name for name, one in known.items() if issubclass(one, Exception)}
    roots = {"BatchError", "SchedulerError", "JobError"}
    missing = {name for name in names - roots if f"`{name}`" not in PAGE}
    assert missing == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('log.warning("%s: is lost", x)', ["…: is lost"]),
        ('raise Failure(f"no {x} here", 3)', ["no … here"]),
        ('def f():\n text = "so it is"\n raise Failure(text)', ["so it is"]),
        ('raise OptionsError("name", x, "write a number")', ["write a number"]),
        ('def f():\n return BatchError("it is torn")', ["it is torn"]),
        ('raise Failure("{} is no host".format(x))', ["… is no host"]),
        ('raise Failure(Message("no %(x)s here", x=x))', ["no … here"]),
        ('raise Failure("this one" if x else "or that")', ["this one", "or that"]),
        ('print(f"agent: {x} ended", file=sys.stderr)', ["agent: … ended"]),
        ('log.info("all is well")\nprint("hello you")\nraise', []),
    ],
)
def test_a_message_is_found_in_the_code(source, found, tmp_path: Path):
    file = tmp_path / "module.py"
    file.write_text(source)
    assert [text for _, text in messages(file)] == found
