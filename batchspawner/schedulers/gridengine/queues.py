"""Queues of Grid Engine: https://manpages.debian.org/bookworm/gridengine-client/qstat.1.en.html"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from ...errors import OptionsError, ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines
from ...units import memory, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...commands import CommandResult

QUEUES = ("qstat", "-f", "-xml", "-F", "h_rt,mem_total")

# Alarm, suspended, disabled, unknown, error, orphaned, and closed by a calendar or a limit.
_CLOSED = frozenset("AsSdDuEoCc")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues, each of all its hosts. Raises SchedulerUnavailable, ParseError."""
    if not result.ok:
        raise SchedulerUnavailable("qstat failed.", result)
    try:
        # The document is made by qstat, which escapes what users write.
        listed = ET.fromstring(result.stdout).findall(".//Queue-List")  # noqa: S314
        return merge_lines([_queue(instance) for instance in listed])
    except (ET.ParseError, ValueError) as error:
        raise ParseError(f"qstat printed no queues: {error}", result) from error


def _queue(instance: ET.Element) -> Queue:
    """Return the part of a queue on one host, ``all.q@node1``."""
    slots, used = (int(instance.findtext(name, "0")) for name in ("slots_total", "slots_used"))
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
    )


def _amount(read: Callable[[str, str], int], text: str) -> int | None:
    try:
        return read("limit", text)
    except OptionsError:
        return None  # INFINITY, or unknown
