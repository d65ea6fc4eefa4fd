"""Queues and hosts of LSF.

Manuals: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-bqueues and bhosts there
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes

if TYPE_CHECKING:
    from ...commands import CommandResult

# Each of the commands prints what the other one does not.
QUEUES = ("sh", "-c", "bqueues -w && bhosts -w")

_AWAY = ("unavail", "unreach", "closed_LIM", "unlicensed")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues, each with all hosts: only long listings assign hosts to queues.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    if not result.ok:
        raise SchedulerUnavailable("bqueues or bhosts failed.", result)
    table, mark, hosts = result.stdout.partition("HOST_NAME")
    try:
        queues = [_queue(line) for line in table.splitlines()[1:] if line.strip()]
        lines = [_host(line) for line in (mark + hosts).splitlines()[1:] if line.strip()]
    except (ValueError, IndexError) as error:
        raise ParseError(f"LSF printed a line of an unknown form: {error}", result) from error
    return offer_nodes(queues, merge_lines(lines))


def _queue(line: str) -> Queue:
    name, _, status = line.split()[:3]
    return Queue(name, is_open=status == "Open:Active")


def _host(line: str) -> Queue:
    _, status, _, most, jobs = line.split()[:5]
    cores = 0 if most == "-" else int(most)
    is_up = not status.startswith(_AWAY)
    free = cores - int(jobs) if status == "ok" else 0
    return Queue(
        "",
        cores=cores,
        free_cores=free,
        all_cores=cores if is_up else 0,
        free_nodes=int(is_up and free == cores),
        all_nodes=1,
    )
