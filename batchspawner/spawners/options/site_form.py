"""A form that a site has made itself: what it offers, and the options that were read from it."""

from __future__ import annotations

from html.parser import HTMLParser
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

_FIXED = frozenset({"hidden", "radio", "checkbox", "submit", "button", "image", "reset"})
"""Types of an input whose value the user does not write."""


class FormOptions(dict[str, Any]):
    """Options of a form that a user has sent; those of an address or of the REST API are a `dict`.

    `by_site` says that a function of the site has read the form: then the names in it are those
    that the site wants. Otherwise they are whatever was sent.
    """

    def __init__(self, options: Mapping[str, object], *, by_site: bool) -> None:
        super().__init__(options)
        self.by_site = by_site


def marked(read: object, *, by_site: bool) -> object:
    """Return what was read from a form as `FormOptions`, or an awaitable of that."""
    if isawaitable(read):
        return _marked_later(read, by_site=by_site)
    return FormOptions(read, by_site=by_site) if isinstance(read, dict) else read


async def _marked_later(read: Awaitable[object], *, by_site: bool) -> object:
    return marked(await read, by_site=by_site)


def single_text(value: object) -> str | None:
    """Return an option as the text in its form's field, None if it cannot be that.

    A form as JupyterHub reads it has a list of one text for each field.
    """
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return str(one) if isinstance(one, (str, int, float)) else None


def from_same_source(given: object, options: dict[str, Any]) -> dict[str, Any]:
    """Return options that were made of `given` as what these are: of a form, or not."""
    if isinstance(given, FormOptions):
        return FormOptions(options, by_site=given.by_site)
    return options


def offers(html: str) -> dict[str, frozenset[str] | None]:
    """Return what a form offers: for each name its values, None where the user writes one."""
    parser = _Offers()
    parser.feed(html)
    parser.close()
    free = dict.fromkeys(parser.free)
    return {**{name: frozenset(values) for name, values in parser.fixed.items()}, **free}


class _Offers(HTMLParser):
    """Parser that collects the names and values of a form's fields."""

    def __init__(self) -> None:
        super().__init__()
        self.free: set[str] = set()
        self.fixed: dict[str, set[str]] = {}
        self._select = ""
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "select":
            self._end_option()
            self._select = name
        elif tag == "option":
            self._end_option()
            if "disabled" in given:
                return
            if "value" in given:
                self._offer(self._select, given["value"] or "")
            else:
                self._text = []
        elif tag == "input" and (given.get("type") or "text").lower() in _FIXED:
            self._offer(name, given["value"] or "" if "value" in given else "on")
        elif tag in ("input", "textarea") and name:
            self.free.add(name)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("option", "optgroup", "select"):
            self._end_option()
        if tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def _end_option(self) -> None:
        """Take the text of an option that has no value."""
        if self._text is not None:
            self._offer(self._select, " ".join("".join(self._text).split()))
        self._text = None

    def _offer(self, name: str, value: str) -> None:
        if name:
            self.fixed.setdefault(name, set()).add(value)
