"""English texts that `translation.translated` can show in the language of their reader."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

_NO_VALUES: Mapping[str, object] = MappingProxyType({})


class Message(str):
    """English text that remembers of what it was made.

    Whoever compares, logs or stores it has an ordinary string. `text` is what catalogues know, and
    `values` are for its ``%(name)s``; those that are messages are translated, too. If it has a
    `number`, `english` is the form for that, and `text` the one for 1.

        Message("Job %(job)s is held", job="12")
    """

    # A Hub has some for each of its servers.
    __slots__ = ("english", "number", "text", "values")

    text: str
    english: str
    number: int | None
    values: Mapping[str, object]

    def __new__(cls, text: str, /, **values: object) -> Message:
        return cls._made(text, text, None, values)

    @classmethod
    def _made(
        cls, text: str, english: str, number: int | None, values: dict[str, object]
    ) -> Message:
        made = super().__new__(cls, english % values if values else english)
        made.text, made.english, made.number = text, english, number
        made.values = values or _NO_VALUES
        return made

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        # Who reads it in another process has no catalogue for it, and may have no such class.
        return str, (str(self),)


def counted(one: str, many: str, number: int, /, **values: object) -> Message:
    """Return a message in the form for a number, its ``%(number)s``."""
    english = one if number == 1 else many
    return Message._made(one, english, number, {"number": number, **values})


def headed(heading: str, text: str) -> Message:
    """Return a message of what is told and, after a colon, more about it."""
    return Message("%(heading)s: %(text)s", heading=heading, text=text)


class Joined(Message):
    """Texts one after another, such as sentences; a full stop before another is left out."""

    __slots__ = ("parts", "separator")

    separator: str
    parts: tuple[str, ...]

    def __new__(cls, separator: str, parts: Iterable[str]) -> Joined:
        known = tuple(parts)
        made = str.__new__(cls, join(separator, known))
        made.text = made.english = str(made)
        made.number, made.values = None, _NO_VALUES
        made.separator, made.parts = separator, known
        return made


def join(separator: str, parts: Iterable[str]) -> str:
    """Return texts one after another, each without the separator's own mark at its end."""
    mark = separator.strip()
    return separator.join(part.rstrip(mark) if mark else part for part in parts)


def capital(text: str) -> str:
    """Return a text with its first character in upper case, as a sentence begins."""
    return text[:1].upper() + text[1:]
