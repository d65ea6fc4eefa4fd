"""Texts in the language of their reader: the catalogues of gettext, read from `.po` files.

A text is written in English, as ``_("Memory")`` or ``_("queue %(name)s", name=name)``, and looked
up in the catalogue that `use_catalogue` has set for the request; without one it stays English. What
is written before anybody reads it is a `Message`, which is looked up when it is shown.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from gettext import c2py
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from .message import Joined, Message, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.abc import Traversable

FOLDER = "locale"
"""Folder of the catalogues, beside the templates: ``locale/de.po``."""

SOURCE_LANGUAGE = "en"
_MAX_HEADER = 500
_MAX_LANGUAGES = 10
_FILE = re.compile(r"([a-z]{2,3}(?:_[A-Za-z0-9]+)?)\.po")
_LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr|msgstr\[[0-5]\])\s+)?("(?:[^"\\]|\\.)*")')
_PLURAL = re.compile(r"^Plural-Forms:.*\bplural\s*=\s*([^;\n]+)", re.MULTILINE)
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z0-9-]+))?(?:\s*;\s*q=([01](?:\.\d{1,3})?))?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoFile:
    """One file of translations: for each text its translation, one for each plural form."""

    texts: Mapping[str, tuple[str, ...]]
    plural: Callable[[int], int] = field(default=lambda number: int(number != 1))

    def find(self, text: str, number: int | None = None) -> str:
        """Return a translation, empty if there is none; `number` chooses the plural form."""
        forms = self.texts.get(text, ())
        index = 0 if number is None else self.plural(number)
        return forms[index] if text and index < len(forms) else ""


@dataclass(frozen=True)
class Catalogue:
    """All translations into one language, a site's own files before the packaged one."""

    language: str = SOURCE_LANGUAGE
    files: tuple[PoFile, ...] = ()

    def find(self, text: str, number: int | None = None) -> str:
        """Return a translation, empty if there is none; `number` chooses the plural form."""
        return next((found for one in self.files if (found := one.find(text, number))), "")


ENGLISH = Catalogue()

_current: ContextVar[Catalogue | None] = ContextVar("catalogue", default=None)


def gettext(text: str, **values: object) -> str:
    """Return a text in the reader's language, with values for its ``%(name)s``.

    The result is markup if one of the values is; all else is escaped then.
    """
    return _formatted(_catalogue().find(text), text, values)


def ngettext(one: str, many: str, number: int, **values: object) -> str:
    """Return a text in the reader's language, in the form for a number, its ``%(number)s``."""
    english = one if number == 1 else many
    return _formatted(_catalogue().find(one, number), english, {"number": number, **values})


def translated(value: Any) -> Any:
    """Return a value with each message in it, also in lists and dictionaries, as its reader's text.

    All else is returned as it is.
    """
    if isinstance(value, Joined):
        return join(value.separator, map(translated, value.parts))
    if isinstance(value, Message):
        # If there is no translation, a value may have one.
        found = _catalogue().find(value.text, value.number)
        return _formatted(found, value.english, value.values)
    if isinstance(value, dict):
        return {name: translated(one) for name, one in value.items()}
    if isinstance(value, list):
        return [translated(one) for one in value]
    return value


def language() -> str:
    """Return the language of the current reader, as browsers write it: ``de``, ``pt-BR``."""
    return _catalogue().language.replace("_", "-")


def has_reader() -> bool:
    """Check whether a catalogue was set: a request is being answered that has a language."""
    return _current.get() is not None


def use_catalogue(catalogue: Catalogue) -> None:
    """Set the catalogue for what remains of this task, such as that of a request."""
    _current.set(catalogue)


@contextlib.contextmanager
def translated_by(catalogue: Catalogue) -> Iterator[None]:
    """Use a catalogue inside a `with` statement."""
    token = _current.set(catalogue)
    try:
        yield
    finally:
        _current.reset(token)


def _catalogue() -> Catalogue:
    return _current.get() or ENGLISH


def _formatted(translation: str, english: str, given: Mapping[str, object]) -> str:
    values = {name: translated(value) for name, value in given.items()}
    for text in filter(None, (translation, english)):
        made = escape(text) if any(isinstance(one, Markup) for one in values.values()) else text
        # A site's translation may name what is not there.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return made % values if values else made
    return english


def best_catalogue(accepted: str, default: str, folders: Sequence[str]) -> Catalogue:
    """Return the catalogue for a reader.

    `accepted` is the header Accept-Language of the browser, `default` the language of the site,
    which rules over it, and `folders` are those of the site's templates, best first.
    """
    known = catalogues(tuple(folders))
    for wanted in [default.replace("-", "_")] if default else _accepted(accepted):
        for name in (wanted, wanted.split("_")[0]):
            if name in known:
                return known[name]
    return known[SOURCE_LANGUAGE]


def _accepted(header: str) -> list[str]:
    """Return the languages that a browser accepts, the preferred one first."""
    found: list[tuple[float, str]] = []
    for part in header[:_MAX_HEADER].split(",")[:_MAX_LANGUAGES]:
        match = _LANGUAGE.fullmatch(part.strip())
        if match and (weight := float(match[3] or 1)):
            region = f"_{match[2].upper()}" if match[2] else ""
            found.append((weight, f"{match[1].lower()}{region}"))
    return [name for _, name in sorted(found, key=lambda one: -one[0])]


@lru_cache(maxsize=32)
def catalogues(folders: tuple[str, ...] = ()) -> Mapping[str, Catalogue]:
    """Return the catalogue of every language, by its name: ``de``, ``pt_BR``."""
    packaged = files("batchspawner.templates").joinpath(FOLDER)
    places: list[Traversable] = [*(Path(one) / FOLDER for one in folders), packaged]
    found: dict[str, list[PoFile]] = {SOURCE_LANGUAGE: []}
    for place in places:
        for file in sorted(place.iterdir(), key=lambda one: one.name) if place.is_dir() else ():
            match = _FILE.fullmatch(file.name)
            if match:
                try:
                    found.setdefault(match[1], []).append(read_po(file.read_text("utf-8")))
                except (OSError, ValueError) as error:
                    _log.error("%s is not used: %s", file, error)
    for name, own in found.items():
        # What a region has not translated is taken from its language.
        own += found.get(name.split("_")[0], []) if "_" in name else []
    return {name: Catalogue(name, tuple(own)) for name, own in found.items()}


def read_po(text: str) -> PoFile:
    """Return the translations in a `.po` file; those marked as fuzzy, and empty ones, are left out.

    https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html describes the format. Raises
    ValueError, which names the line, for anything else, and for a context (``msgctxt``).
    """
    texts: dict[str, tuple[str, ...]] = {}
    for entry in _entries(text):
        forms = tuple(found for name, found in sorted(entry.items()) if name.startswith("msgstr"))
        if all(forms):
            texts[entry.get("msgid", "")] = forms
    plural = _PLURAL.search(texts.get("", ("",))[0])
    return PoFile(texts, c2py(plural[1].strip())) if plural else PoFile(texts)


def _entries(text: str) -> Iterator[dict[str, str]]:
    """Yield the entries of a `.po` file, each with its texts by their keywords."""
    entry: dict[str, str] = {}
    keyword, is_fuzzy, is_next_fuzzy = "", False, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#,") and "fuzzy" in line:
            is_next_fuzzy = True
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        keyword = match[1] or keyword if match else ""
        if match is None or not keyword:
            raise ValueError(f"line {number} is not one of a .po file")
        if match[1] == "msgid":
            if entry and not is_fuzzy:
                yield entry
            entry, is_fuzzy, is_next_fuzzy = {}, is_next_fuzzy, False
        entry[keyword] = entry.get(keyword, "") + str(ast.literal_eval(match[2]))
    if entry and not is_fuzzy:
        yield entry
