"""All that is specific to one scheduler, in one package each, and the registry of their names."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from .base import Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

log = logging.getLogger(__name__)

GROUP = "batchspawner.schedulers"
"""The entry-point group in which another distribution names its Scheduler class."""

FALLBACK = "local"
"""The scheduler that every machine has: the embedded queue."""

# Where a job sees variables of several, the first one is taken for its scheduler.
_BUILT_IN: Mapping[str, str] = {
    "slurm": ".slurm:Slurm",
    "htcondor": ".htcondor:HTCondor",
    "lsf": ".lsf:LSF",
    "oar": ".oar:OAR",
    "moab": ".moab:Moab",
    "pbspro": ".pbspro:PBSPro",
    "torque": ".torque:Torque",
    "local": ".local:LocalQueue",
    "gridengine": ".gridengine:GridEngine",
}


def scheduler_names() -> list[str]:
    """Return the names of all schedulers, ours and those of other distributions."""
    return sorted({*_BUILT_IN, *_third_party()})


def scheduler_class(name: str) -> type[Scheduler]:
    """Return the class of a scheduler. Raises LookupError for an unknown name."""
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found = getattr(import_module(module, __name__), attribute)
    elif name in (others := _third_party()):
        found = others[name].load()
    else:
        known = ", ".join(scheduler_names())
        raise LookupError(f"there is no scheduler {name!r}; known are {known}")
    if not (isinstance(found, type) and issubclass(found, Scheduler)):
        raise LookupError(f"{name!r} is registered as {found!r}, which is no Scheduler class")
    return found


@lru_cache(maxsize=1)
def scheduler_classes() -> tuple[type[Scheduler], ...]:
    """Return the classes of all schedulers, ours first, without those that cannot be loaded."""
    return tuple(filter(None, map(_loaded, dict.fromkeys((*_BUILT_IN, *_third_party())))))


def _loaded(name: str) -> type[Scheduler] | None:
    try:
        return scheduler_class(name)
    except Exception as error:
        if name in _BUILT_IN:
            raise
        # Another distribution's mistake must not affect jobs of other schedulers.
        log.warning("The scheduler %r cannot be loaded: %s: %s", name, type(error).__name__, error)
        return None


def scheduler_facts(name: str) -> type[Scheduler]:
    """Return the class of a scheduler, the base class with all its defaults for an unknown name.

    Spawners of a site may name a scheduler that only the site knows.
    """
    return scheduler_class(name) if name in scheduler_names() else Scheduler


def template_name(name: str) -> str:
    """Return the name of a scheduler's job-script template, for instance to find a site's own."""
    return f"{name}.j2"


@lru_cache(maxsize=1)  # a search through everything that is installed
def _third_party() -> dict[str, EntryPoint]:
    everything: Any = entry_points()
    # Python 3.9 has a dict here.
    by_group = getattr(everything, "select", None)
    points = by_group(group=GROUP) if by_group else everything.get(GROUP, ())
    return {point.name: point for point in points}
