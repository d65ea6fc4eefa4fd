"""Names and docstrings use the field's words: the glossary of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path for folder in ("batchspawner", "wrapspawner") for path in (ROOT / folder).rglob("*.py")
)

RETIRED_IN_NAMES = {
    *("crew", "crews", "hand", "hands", "recruit", "employ", "bury", "buried"),
    *("room", "keeper", "guest", "guests", "letter", "letters", "entered"),
    *("lookout", "outlook", "story", "news", "endings", "adopt", "adoption"),
    *("admission", "gate", "gates", "ticket", "tickets", "customised", "surroundings"),
    *("far", "faraway", "leftovers", "pace", "calm", "eager", "soon", "patience", "farewell"),
    *("silence", "kept", "wish", "wishes", "mend", "tell", "anew"),
}
"""Words that no file, class, function, argument, attribute or constant has in its name."""

RETIRED_IN_DOCSTRINGS = re.compile(
    r"\b(crews?|recruits?|buries|bury|lookout|outlook|surroundings|leftovers?|keepers?|guests?"
    r"|letters?|adopt(?:ed|ion|s)?|for ever|in vain|anew|comes? of it|cannot be had|mends?|mended"
    r"|(?<!there )is none|what of)\b",
)
DIALECT_OPENING = re.compile(
    r"(?:Be|Let|Have|Know|Hold|Tell|Say|Take note|Give out|Keep company|Find out)\b"
)
"""How a docstring does not begin: it is a noun phrase, or an imperative such as "Return"."""


def words(name: str) -> set[str]:
    """Return the words of a name in snake case or camel case, in lower case."""
    split = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name.replace("hand_over", ""))
    return {word.lower() for word in split}


def names(tree: ast.AST) -> set[str]:
    """Return every name that a module defines."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def docstrings(tree: ast.AST) -> list[str]:
    """Return the docstrings of a module, its classes and its functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_docstrings_have_no_retired_word(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {name for name in {path.stem, *names(tree)} if words(name) & RETIRED_IN_NAMES}
    said = [text for text in docstrings(tree) if RETIRED_IN_DOCSTRINGS.search(text)]
    opened = [text for text in docstrings(tree) if DIALECT_OPENING.match(text)]
    assert (named, said, opened) == (set(), [], [])
