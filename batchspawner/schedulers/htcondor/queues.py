"""Machines of an HTCondor pool, as one queue:
https://htcondor.readthedocs.io/en/latest/classad-attributes/machine-classad-attributes.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import SchedulerUnavailable
from ...queues import Queue, merge_lines
from ..broken_records import load_json, read_each

if TYPE_CHECKING:
    from ...commands import CommandResult

# A dynamic slot is a part of a partitionable one, which shows what is left.
SLOTS = (
    *("condor_status", "-json", "-constraint", 'SlotType != "Dynamic"'),
    "-attributes",
    "SlotType,State,Cpus,Memory,GPUs,TotalSlotCpus,TotalSlotMemory,TotalSlotGPUs",
)


def parse_slots(result: CommandResult) -> list[Queue]:
    """Return the pool as one queue without a name; nothing for an empty pool.

    Raises SchedulerUnavailable, or ParseError if this is not a list of slots.
    """
    if not result.ok:
        raise SchedulerUnavailable("condor_status failed.", result)
    if not result.stdout.strip():
        return []
    ads: list[dict[str, str | int]] = load_json("condor_status", "printed no slots:", result)
    return merge_lines(read_each("condor_status", "printed no slots:", result, ads, _slot))


def _slot(ad: dict[str, str | int]) -> Queue:
    cores, gpus = int(ad["TotalSlotCpus"]), int(ad.get("TotalSlotGPUs", 0))
    memory = int(ad["TotalSlotMemory"]) * 2**20
    is_whole = ad.get("SlotType") == "Partitionable" or ad.get("State") == "Unclaimed"
    free = int(ad["Cpus"]) if is_whole else 0
    return Queue(
        name="",
        cores=cores,
        memory=memory,
        gpus=gpus,
        free_cores=free,
        all_cores=cores,
        free_nodes=int(free == cores),
        all_nodes=1,
        free_memory=int(ad["Memory"]) * 2**20 if is_whole else 0,
        all_memory=memory,
        free_gpus=int(ad.get("GPUs", 0)) if is_whole else 0,
        all_gpus=gpus,
        least_gpus=gpus,
    )
