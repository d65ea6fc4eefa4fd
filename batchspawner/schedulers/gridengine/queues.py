"""Queues of Grid Engine: https://manpages.debian.org/bookworm/gridengine-client/qstat.1.en.html"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import OptionsError, SchedulerUnavailable
from ...queues import Queue, merge_lines
from ...units import memory, seconds
from ..broken_records import read_each, read_xml_records

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Callable

    from ...commands import CommandResult

# The templates ask for GPUs by `gpu`; of that, the free ones are shown, and no error without it.
QUEUES = ("qstat", "-f", "-xml", "-F", "h_rt,mem_total,gpu")

# Alarm, suspended, disabled, unknown, error, orphaned, and closed by a calendar or a limit.
_CLOSED = frozenset("AsSdDuEoCc")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues, each of all its hosts. Raises SchedulerUnavailable, ParseError."""
    if not result.ok:
        raise SchedulerUnavailable("qstat failed.", result)
    listed = read_xml_records("qstat", result, "Queue-List", "name")
    return merge_lines(read_each("qstat", "printed no queues:", result, listed, _queue))


def _queue(instance: ET.Element) -> Queue:
    """Return the part of a queue on one host, ``all.q@node1``."""
    slots, used = (int(instance.findtext(name, "")) for name in ("slots_total", "slots_used"))
    told = {one.get("name"): one.text or "" for one in instance.findall("resource")}
    is_open = not _CLOSED & set(instance.findtext("state", ""))
    return Queue(
        name=instance.findtext("name", "").partition("@")[0],
        is_open=is_open,
        runtime=_amount(seconds, told.get("h_rt", "")),
        cores=slots,
        memory=_amount(memory, told.get("mem_total", "")),
        free_cores=slots - used if is_open else 0,
        all_cores=slots,
        free_nodes=int(is_open and not used),
        all_nodes=1,
        free_gpus=int(float(told.get("gpu", "0"))) if is_open else 0,
    )


def _amount(read: Callable[[str, str], int], text: str) -> int | None:
    try:
        return read("limit", text)
    except OptionsError:
        return None  # INFINITY, or unknown
