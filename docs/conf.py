"""Configure Sphinx."""

from __future__ import annotations

import importlib
import re

project = "batchspawner"
copyright = "the batchspawner maintainers"
extensions = ["autodoc_traits", "myst_parser", "sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
myst_heading_anchors = 3
html_theme = "furo"
html_title = "batchspawner"
exclude_patterns = ["_build"]
# The Hub of the tutorial runs on the reader's machine.
linkcheck_ignore = [r"http://127\.0\.0\.1"]


def setup(app):
    app.connect("source-read", _list_traits)


def _list_traits(_app, _docname, source):
    """Replace each line ``traits of module.Class`` by the traits that the class adds."""
    seen: list[type] = []
    pattern = re.compile(r"^traits of (\w+)\.(\w+)$", re.MULTILINE)
    source[0] = pattern.sub(lambda match: _traits(match, seen), source[0])


def _traits(match: re.Match[str], seen: list[type]) -> str:
    """Return the traits of a class that no earlier class on the page has with the same default."""
    cls = getattr(importlib.import_module(match[1]), match[2])
    lines = ["```{eval-rst}"]
    for name, trait in sorted(cls.class_traits(config=True).items()):
        bases = [vars(base).get(name) for base in cls.__mro__]
        trait.help = trait.help or next((one.help for one in bases if one and one.help), "")
        trait.__doc__ = trait.help
        ours = trait.this_class.__module__.startswith(("batchspawner", "wrapspawner"))
        known = any(
            issubclass(cls, one) and getattr(one, name).default() == trait.default()
            for one in seen
            if hasattr(one, name)
        )
        if ours and not known:
            lines += [f".. autotrait:: {match[0].split()[-1]}.{name}", ""]
    seen.append(cls)
    return "\n".join([*lines, "```"])
