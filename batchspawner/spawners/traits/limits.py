"""Variables that tell a server how much memory and how many cores its job has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from ...errors import OptionsError
from ...schedulers import scheduler_facts
from ...units import memory

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES = "BATCHSPAWNER_JOB_LIMITS"
"""Variable that tells batchspawner-singleuser where the scheduler writes the limits of a job."""


class RequestingSpawner(Protocol):
    """Spawner whose jobs ask for memory and cores."""

    req_memory: str
    req_nprocs: str
    scheduler_name: str

    @property
    def chosen(self) -> Mapping[str, object] | None: ...

    def chosen_variables(self) -> Mapping[str, object]: ...


def limit_variables(spawner: RequestingSpawner) -> dict[str, str]:
    """Return what a job asks for, by JupyterHub's names, and where it finds what it got.

    MEM_GUARANTEE is in bytes. It is left out if only the scheduler knows what the amount means,
    and where jobs get no memory of their own.
    """
    chosen = spawner.chosen_variables() if spawner.chosen is not None else {}
    scheduler = scheduler_facts(spawner.scheduler_name)
    found = {PLACES: json.dumps(scheduler.identity())}
    cores = str(chosen.get("nprocs") or spawner.req_nprocs).strip()
    if cores.isdecimal() and int(cores):
        found["CPU_GUARANTEE"] = cores
    amount = str(chosen.get("memory") or spawner.req_memory).strip()
    try:
        size = 0 if amount.isdecimal() or not amount else memory("memory", amount)
    except OptionsError:
        size = 0
    if size and not scheduler.this_machine:
        found["MEM_GUARANTEE"] = str(size)
    return found
