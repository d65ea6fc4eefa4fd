"""Messages that the code can print: what it raises, and what it logs as wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
LEVELS = {"warning", "error", "exception", "critical"}
EXCEPTIONS = (
    "Error",
    "Failed",
    "Failure",
    "Interrupted",
    "NotFound",
    "Refusal",
    "Refused",
    "Travel",
    "Unavailable",
    "Unreachable",
)
"""Endings of the names of exceptions that are raised with a text."""
SPEAKERS = {"complain", "refusal", "_warn", "_fail"}
"""Functions of ours whose arguments are messages."""

_FIELD = re.compile(r"%(?:\(\w+\))?[-.0-9]*[sdrf]|\{[^{}]*\}")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def files() -> list[Path]:
    """Return all modules of both packages."""
    packages = ("batchspawner", "wrapspawner")
    return sorted(file for package in packages for file in (PROJECT / package).rglob("*.py"))


def messages(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each message of a file, with … for what differs."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for scope in ast.walk(tree):
        if isinstance(scope, (ast.Module, *_FUNCTIONS)):
            own = list(_own(scope))
            names = _assigned(own)
            for argument in (one for node in own for one in _spoken(node)):
                for text in _texts(argument, names):
                    if len(text.strip("… .:")) > 3:
                        yield argument.lineno, text


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, _FUNCTIONS):
            yield child
            yield from _own(child)


def _assigned(nodes: list[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return what is assigned to each name: a message is often made before it is raised."""
    names: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.setdefault(node.targets[0].id, []).append(node.value)
    return names


def _spoken(node: ast.AST) -> list[ast.expr]:
    """Return the arguments of a node that are messages."""
    if isinstance(node, ast.Call):
        *owner, name = ast.unparse(node.func).split(".")
        if name == "OptionsError":
            # The name of an option and its value come first.
            return node.args[2:3]
        if name.endswith(EXCEPTIONS):
            return node.args
        if name in LEVELS and "log" in "".join(owner):
            return node.args[:1]
        errors = any(ast.unparse(one.value) == "sys.stderr" for one in node.keywords)
        if name in SPEAKERS or (name == "print" and errors):
            return node.args
    return []


def _texts(node: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield _FIELD.sub("…", node.value)
    elif isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        yield "".join(map(str, parts))
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, names)
        yield from _texts(node.orelse, names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Message":
        yield from _texts(node.args[0], names)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        # "…".format(…), text.strip()
        yield from _texts(node.func.value, {})
    elif isinstance(node, ast.Name):
        for value in names.get(node.id, []):
            yield from _texts(value, {})
