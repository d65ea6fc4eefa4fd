"""Everything public stands on docs/api.md, with a docstring that names what it raises."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")
SHOWN = set(re.findall(r"(?m)^\.\. auto(?:class|function|exception|data):: (\S+)$", PAGE))

MODULES = (
    *("batchspawner", "batchspawner.client", "batchspawner.clusters", "batchspawner.errors"),
    *("batchspawner.functions", "batchspawner.jobs", "batchspawner.kernels"),
    *("batchspawner.schedulers", "batchspawner.schedulers.base", "batchspawner.spawners.options"),
    "wrapspawner",
)
FOREIGN = {
    *("Dict", "ET", "Enum", "Float", "Integer", "Spawner", "Template", "Unicode", "asyncio"),
    *("default", "os", "pwd", "re", "set_user_setuid", "__version__", "version_info"),
}
"""Names of others that `from batchspawner import *` has always brought along, and the version."""


def public_names(module: str) -> list[str]:
    """Return the names of a module that are for programs of others."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return [name for name in loaded.__all__ if module != "batchspawner" or name not in FOREIGN]
    return [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module
    ]


PUBLIC = [
    pytest.param(module, name, id=f"{module}.{name}")
    for module in MODULES
    for name in public_names(module)
]


def described(module: str, name: str) -> list[tuple[str, object]]:
    """Return a public object, and what a class adds, each with its name."""
    found = getattr(importlib.import_module(module), name)
    if not inspect.isclass(found):
        return [(name, found)]
    members = [
        (f"{name}.{key}", inspect.getattr_static(found, key))
        for key in vars(found)
        if not key.startswith("_")
    ]
    functions = [(key, getattr(one, "__func__", getattr(one, "fget", one))) for key, one in members]
    return [(name, found), *((key, one) for key, one in functions if inspect.isfunction(one))]


def raised(function: object) -> set[str]:
    """Return the exceptions that a function raises itself, by their names."""
    if not inspect.isfunction(function):
        return set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [one.exc for one in ast.walk(tree) if isinstance(one, ast.Raise)]
    names = {ast.unparse(one.func) for one in calls if isinstance(one, ast.Call)}
    return {name for name in names if name[0].isupper()} - {"NotImplementedError"}


def test_the_page_shows_nothing_that_is_not_there():
    missing = []
    for one in SHOWN:
        module, _, name = one.rpartition(".")
        if not hasattr(importlib.import_module(module), name):
            missing.append(one)
    assert missing == []


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_what_is_public_stands_on_the_page(module, name):
    found = getattr(importlib.import_module(module), name)
    # A class may be shown under another of its public names.
    paths = {f"{module}.{name}", f"{getattr(found, '__module__', module)}.{name}"}
    others = {f"{other}.{name}" for other in MODULES}
    assert (paths | others) & SHOWN


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_what_is_public_has_a_docstring_that_names_its_errors(module, name):
    wrong = []
    for key, one in described(module, name):
        owner, _, attribute = key.partition(".")
        held = getattr(importlib.import_module(module), owner)
        text = inspect.getdoc(getattr(held, attribute) if attribute else held) or ""
        if attribute:
            # A method of a subclass may rely on what is said of the one that it overrides.
            text += "".join(
                getattr(vars(base).get(attribute), "__doc__", None) or "" for base in held.__mro__
            )
        if not text:
            wrong.append(f"{key} has no docstring")
        wrong += [f"{key} raises {error}" for error in raised(one) if error not in text]
    assert wrong == []
