"""An estimate in words, for the form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...translation import gettext as _
from ...translation import ngettext

if TYPE_CHECKING:
    from .start_estimate import StartEstimate

_SHOWN_IN_MINUTES_BELOW = 120
_SHOWN_IN_HOURS_BELOW = 48


def estimate_message(found: StartEstimate | None) -> dict[str, object]:
    """Return the answer to the form's script; an empty `text` if nothing is known."""
    if found is None:
        return {"text": ""}
    answer: dict[str, object] = {"text": _text(found)}
    if found.change:
        changes = [_change(name, value) for name, value in found.change.items()]
        told = _(" and ").join(changes)
        answer["suggestion"] = _("With %(changes)s it would start at once.", changes=told)
        answer["set"] = dict(found.change)
    return answer


def _change(name: str, value: object) -> str:
    words = {
        "queue": _("queue %(value)s", value=value),
        "runtime": _("time %(value)s", value=value),
        "ngpus": _("GPUs %(value)s", value=value),
        "nprocs": _("cores %(value)s", value=value),
    }
    return words.get(name, f"{name} {value}")


def _about(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < _SHOWN_IN_MINUTES_BELOW:
        return ngettext("%(number)s minute", "%(number)s minutes", minutes)
    hours = round(minutes / 60)
    if hours < _SHOWN_IN_HOURS_BELOW:
        return ngettext("%(number)s hour", "%(number)s hours", hours)
    return ngettext("%(number)s day", "%(number)s days", round(hours / 24))


def _text(found: StartEstimate) -> str:
    if found.refusal:
        return _("The scheduler would refuse this: %(reason)s", reason=found.refusal)
    if found.source == "free":
        return _("What you ask for is free now.")
    if found.wait_s is None:
        return _("It would not start at once.") if found.source == "scheduler" else ""
    about = _about(found.wait_s)
    if found.source == "waits":
        return _("Servers in this queue have waited about %(time)s lately.", time=about)
    if found.is_prompt:
        return _("It would start at once.")
    return _("It would start in about %(time)s.", time=about)
