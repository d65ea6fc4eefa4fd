"""Queues and hosts of LSF.

Manuals: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-bqueues and bhosts there
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import ParseError, SchedulerUnavailable
from ...queues import Queue, merge_lines, offer_nodes
from ...units import memory

if TYPE_CHECKING:
    from ...commands import CommandResult

# Each of the commands prints what the other one does not.
QUEUES = ("sh", "-c", "bqueues -l && bhosts -w")

_AWAY = ("unavail", "unreach", "closed_LIM", "unlicensed")
_QUEUE = re.compile(r"^QUEUE: (\S+)(.*?)(?=^QUEUE: |\Z)", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"^PRIO +NICE +STATUS .*\n *\S+ +\S+ +(\S+)", re.MULTILINE)
_DEFAULTS = re.compile(r"^DEFAULT LIMITS:.*?(?=^[A-Z]+ [A-Z]+:|\Z)", re.MULTILINE | re.DOTALL)
_LIMITS = re.compile(r"^ *([A-Z]+LIMIT(?: +[A-Z]+LIMIT)*) *\n(.+)$", re.MULTILINE)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(?: (min(?: of \S+)?|[KMGTP])(?!\S))?")


def parse_queues(result: CommandResult) -> list[Queue]:
    """Return the queues, each with its limits and all hosts.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    if not result.ok:
        raise SchedulerUnavailable("bqueues or bhosts failed.", result)
    text, mark, hosts = result.stdout.partition("HOST_NAME")
    told: list[tuple[str, str]] = _QUEUE.findall(text)
    try:
        queues = [_queue(name, lines) for name, lines in told]
        lines = [_host(line) for line in (mark + hosts).splitlines()[1:] if line.strip()]
    except (ValueError, IndexError) as error:
        raise ParseError(f"LSF printed a line of an unknown form: {error}", result) from error
    if text.strip() and not queues:
        raise ParseError("LSF printed queues or nodes of an unknown form.", result)
    return offer_nodes(queues, merge_lines(lines))


def _queue(name: str, lines: str) -> Queue:
    status = _STATUS.search(lines)
    limits = _limits(lines)
    runtime, memlimit = limits.get("RUNLIMIT"), limits.get("MEMLIMIT")
    # "minimum default maximum", of which the first ones can be missing.
    tasks = limits.get("TASKLIMIT") or limits.get("PROCLIMIT")
    return Queue(
        name,
        is_open=status is not None and status[1] == "Open:Active",
        runtime=round(60 * float(runtime[0])) if runtime else None,
        cores=int(tasks[0]) if tasks else None,
        memory=memory("memory", "".join(memlimit)) if memlimit and memlimit[1] else None,
    )


def _limits(lines: str) -> dict[str, tuple[str, str]]:
    """Return the maximum limits of a queue, each a number and its unit.

    The line of their names is followed by that of their values.
    """
    found: dict[str, tuple[str, str]] = {}
    for names, values in _LIMITS.findall(_DEFAULTS.sub("", lines)):
        amounts = _AMOUNT.findall(values)
        columns = names.split()
        if len(columns) == 1 and amounts:
            found[columns[0]] = amounts[-1]
        elif len(columns) == len(amounts):
            found.update(zip(columns, amounts))
    return found


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
