"""The texts of pages, forms and sentences that are looked up in the catalogues."""

from __future__ import annotations

import ast
from pathlib import Path

import jinja2
from jinja2.ext import extract_from_ast

from batchspawner.jobs import JobState
from batchspawner.message import capital
from batchspawner.schedulers import scheduler_classes
from batchspawner.spawners.options import Text

ROOT = Path(__file__).parents[1]
TEMPLATES = [
    # The page around all others adds one word, "Jobs".
    path
    for path in sorted((ROOT / "templates").glob("*/*.html"))
    if path.name != "page.html"
]
SOURCES = sorted(ROOT.glob("batchspawner/**/*.py")) + sorted(ROOT.glob("wrapspawner/*.py"))
FUNCTIONS = {"_": 1, "ngettext": 2, "Message": 1, "counted": 2}
"""The functions that texts are given to, each with the number of texts that it takes."""


def texts_of_templates() -> dict[str, str]:
    """Return the plural of each text of a template, empty for a text without one."""
    found: dict[str, str] = {}
    for path in TEMPLATES:
        tree = jinja2.Environment(autoescape=True).parse(path.read_text("utf-8"))
        for _, name, texts in extract_from_ast(tree, gettext_functions=tuple(FUNCTIONS)):
            given = texts if isinstance(texts, tuple) else (texts,)
            first = [one for one in given if one is not None][: FUNCTIONS[name]]
            if first:
                found[first[0]] = first[1] if name == "ngettext" else ""
    return found


def texts_of_sources() -> dict[str, str]:
    """Return the plural of each text of the code, empty for a text without one."""
    found: dict[str, str] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            count = FUNCTIONS.get(node.func.id, 0)
            texts = [one.value for one in node.args[:count] if isinstance(one, ast.Constant)]
            if texts:
                found[str(texts[0])] = str(texts[1]) if count == 2 else ""
    found.pop("", None)
    return found


def texts_from_below() -> dict[str, str]:
    """Return the texts that are looked up after they were made by what knows no reader."""
    reasons = [reason for one in scheduler_classes() for reason in one.reasons]
    explained = [text for one in reasons for text in (one.meaning, one.advice) if text]
    # Names of other schedulers are the same in all languages.
    titles = [one.title for one in scheduler_classes() if one.title.startswith("the ")]
    states = [one.value for one in JobState]
    tree = ast.parse((ROOT / "batchspawner" / "units.py").read_text("utf-8"))
    refused = [
        one.args[2].value
        for one in ast.walk(tree)
        if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "OptionsError"
        if isinstance(one.args[2], ast.Constant)
    ]
    found = (*refused, *explained, *titles, *map(capital, titles), *states)
    return {str(text): "" for text in (*found, Text("any").pattern_help)}


def all_texts() -> dict[str, str]:
    """Return the plural of each text that is looked up, empty for a text without one."""
    return {**texts_of_templates(), **texts_of_sources(), **texts_from_below()}
