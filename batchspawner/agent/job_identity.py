"""Id, array index and end of the job that an agent runs in.

Each scheduler shows them in its own way. The driver writes into the call where they may be found:
see `Scheduler.identity`.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Places = Sequence[Mapping[str, str]]
    """For each scheduler: names of variables, or of lines in the file that a variable names."""


def job_id(places: Places) -> str:
    """Return the scheduler's id of this job; an empty text if it cannot be found."""
    return next(filter(None, (value_of(place, "job_id") for place in places)), "")


def index(places: Places) -> str:
    """Return the array index of this job; an empty text outside of arrays."""
    found = ((value_of(place, "index"), place.get("no_index", "")) for place in places)
    return next((number for number, outside in found if number not in ("", outside)), "")


def job_end(places: Places) -> float | None:
    """Return when this job must end, in seconds since the epoch; None if that is not known."""
    found = (value_of(place, "end") for place in places)
    return next((float(moment) for moment in found if moment.isdigit()), None)


def value_of(place: Mapping[str, str], key: str) -> str:
    """Return what a place says of this job; an empty text if it says nothing."""
    name = place.get(key, "")
    if not name:
        return ""
    return _from_file(place["file"], name) if "file" in place else os.environ.get(name, "")


def _from_file(variable: str, name: str) -> str:
    """Return a value in the file of lines ``name = value`` that a variable names."""
    with contextlib.suppress(KeyError, OSError), open(os.environ[variable]) as file:
        for line in file:
            key, _, value = line.partition("=")
            if key.strip() == name:
                return value.strip()
    return ""
