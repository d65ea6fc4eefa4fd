"""Know every batch scheduler once, and find one by its name."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from .base import Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

GROUP = "batchspawner.schedulers"
"""The entry-point group in which another distribution names its Scheduler class."""

_BUILT_IN: Mapping[str, str] = {
    "gridengine": ".gridengine:GridEngine",
    "htcondor": ".htcondor:HTCondor",
    "local": ".local:LocalQueue",
    "lsf": ".lsf:LSF",
    "moab": ".moab:Moab",
    "oar": ".oar:OAR",
    "pbspro": ".pbspro:PBSPro",
    "slurm": ".slurm:Slurm",
    "torque": ".torque:Torque",
}


def scheduler_names() -> list[str]:
    """Return the names of all schedulers, ours and those that other distributions add."""
    return sorted({*_BUILT_IN, *_third_party()})


def scheduler_class(name: str) -> type[Scheduler]:
    """Return the class behind a scheduler's name. Raises LookupError for an unknown one."""
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


@lru_cache(maxsize=1)  # a search through everything that is installed
def _third_party() -> dict[str, EntryPoint]:
    everything: Any = entry_points()
    # Python 3.9 has a dict here.
    by_group = getattr(everything, "select", None)
    points = by_group(group=GROUP) if by_group else everything.get(GROUP, ())
    return {point.name: point for point in points}
