"""Keep docs/messages.md and the messages in the code the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchspawner import errors

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "messages.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?`)(?: \([\d, ]+\))? \|", PAGE, re.MULTILINE)


def texts() -> str:
    """Return the code, each text that goes over several lines put together."""
    code = "\n".join(file.read_text(encoding="utf-8") for file in PROJECT.glob("*spawner/**/*.py"))
    return re.sub(r'"\s*\n\s*(?:text \+= )?(?:[fr]*")', "", code)


CODE = texts()


@pytest.mark.parametrize("row", [row for row in ROWS if " " in row])
def test_every_message_of_the_page_is_in_the_code(row):
    pieces = [piece.strip() for piece in re.split("`|…", row) if len(piece.strip()) > 3]
    for piece in pieces:
        assert piece in CODE


def test_every_error_of_the_library_is_explained():
    names = {name for name, one in vars(errors).items() if isinstance(one, type)}
    roots = {"BatchError", "SchedulerError", "JobError"}
    missing = {name for name in names - roots if f"`{name}`" not in PAGE}
    assert missing == set()
