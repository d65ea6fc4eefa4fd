"""Settings that nothing reads: JupyterHub ignores a misspelt one without a word."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING

from traitlets import HasTraits

from .findings import Finding, ok, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .configuration import Site

_MIN_LIKENESS = 0.85
"""How alike two names must be for one to be a misspelling of the other."""


def check_settings(site: Site, classes: Sequence[type]) -> Iterator[Finding]:
    """Check each setting as traitlets reads it; `classes` are those of which objects are made.

    A section applies to every class that is derived from the one that it names, with the options
    of that class.
    """
    found = list(_findings(site, classes))
    yield from found
    if not any(one.verdict.value == "wrong" for one in found):
        version = str(sys.modules["jupyterhub"].__version__)
        yield ok(
            "configuration", f"{site.file.name} is loaded: {site.section}, JupyterHub {version}"
        )


def _findings(site: Site, classes: Sequence[type]) -> Iterator[Finding]:
    sections: Mapping[str, object] = site.config
    for name, section in sections.items():
        readers = [one for one in classes if name in _sections_of(one)]
        if not isinstance(section, dict):
            continue
        if not readers:
            if name.endswith("Spawner"):
                text = f"nothing reads the section c.{name}: the spawner is {site.section}"
                yield warning("configuration", text)
            continue
        known = {trait for one in readers for trait in _options_of(one)}
        for option in section:
            if option not in known and not option.startswith("_") and option[:1].islower():
                text = f"c.{name}.{option} is not an option and has no effect"
                cure = _cure(name, option, section[option], readers)
                yield wrong("configuration", text, cure)


def _sections_of(cls: type) -> set[str]:
    return {one.__name__ for one in cls.__mro__ if issubclass(one, HasTraits)}


def _options_of(cls: type) -> list[str]:
    return cls.class_trait_names(config=True) if issubclass(cls, HasTraits) else []


def _cure(section: str, option: str, value: object, readers: Sequence[type]) -> str:
    """Return the line with the option that was probably meant, if it takes the value."""
    for cls in readers:
        for name in difflib.get_close_matches(option, _options_of(cls), 1, _MIN_LIKENESS):
            if _takes(cls, name, value):
                return f"c.{section}.{name} = {value!r}"
    return ""


def _takes(cls: type, name: str, value: object) -> bool:
    try:
        setattr(cls(), name, value)
    except Exception:  # noqa: BLE001  (the class may be anybody's; then there is no cure)
        return False
    return True
