"""Named choices that fill a form, or start a server as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import OptionsError
from .schema import PRESET, OptionsRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Choices = Mapping[str, object]

LAST = "--last"
"""Name of the preset that is the choice of the last start."""


def named_preset(form: Mapping[str, object]) -> str:
    """Return the name of the preset that a form was sent with, empty for none."""
    listed = form.get(PRESET)
    return str(listed[-1]) if isinstance(listed, list) and listed else str(listed or "")


def preset_options(name: str, presets: Mapping[str, Choices], last: Choices) -> dict[str, object]:
    """Return the options of a preset, unchecked. Raises OptionsRefused for an unknown one."""
    known = {**presets, LAST: last}
    if name not in known:
        allowed = f"choose one of {', '.join(presets)}" if presets else "there are no presets"
        raise OptionsRefused(OptionsError("preset", name[:60], allowed))
    return dict(known[name])


def shown_presets(
    presets: Mapping[str, Choices],
    last: Choices,
    check: Callable[[dict[str, object]], Choices],
) -> list[dict[str, object]]:
    """Return the presets that a user may choose, that of the last start first.

    `check` returns checked options; it raises OptionsRefused or OptionsError.
    """
    found: list[dict[str, object]] = []
    for name, options in {**({LAST: last} if last else {}), **presets}.items():
        try:
            values = check(dict(options))
        except (OptionsRefused, OptionsError):
            continue
        found.append({"name": name, "values": dict(values)})
    return found
