"""What squeue lists: jobs with their states, tags and owners.

Manual: https://slurm.schedmd.com/squeue.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import SchedulerUnavailable
from ...jobs import JobInfo, TaggedJob
from ..broken_records import check_not_cut_off, unreadable
from .records import UNKNOWN_JOB, named, seconds
from .states import SlurmId, reason_of, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...commands import CommandResult

    Check = Callable[[CommandResult], None]
    """Raises SchedulerError for the result of a command that did not succeed."""

# Only fields in which no user can write: a job's name may hold line breaks, and a forged line
# would be taken for one about somebody else's job.
FIELDS = ("%i", "%T", "%B", "%S", "%e", "%P", "%r")
FORMAT = "|".join(FIELDS)


def parse_listing(result: CommandResult, wanted: list[SlurmId]) -> dict[str, JobInfo]:
    """Return the status of each of these jobs that is listed. Raises SchedulerUnavailable."""
    if not result.ok:
        # A query of one job that it has forgotten; otherwise it has no answer.
        if len(wanted) == 1 and UNKNOWN_JOB.search(result.text):
            return {}
        raise SchedulerUnavailable("squeue failed.", result)
    by_number: dict[str, list[SlurmId]] = {}
    for one in wanted:
        by_number.setdefault(one.number, []).append(one)
    statuses: dict[str, JobInfo] = {}
    check_not_cut_off("squeue", result, fields=len(FIELDS))
    for _, line in _lines(result.stdout):
        number = line[: len(line) - len(line.lstrip("0123456789"))]
        for one in by_number.get(number, ()):
            status = _parse_line(line, one)
            known = statuses.get(one.text)
            # An array is as alive as any of its tasks.
            if status and (known is None or known.is_final):
                statuses[one.text] = status
    return statuses


def parse_own_jobs(result: CommandResult, answered: Check) -> list[JobInfo]:
    """Return all jobs that are listed, with their names. Raises SchedulerError."""
    answered(result)
    found = []
    for cluster, line in _lines(result.stdout):
        *fields, name = line.split("|", len(FIELDS))
        number = re.match(r"[0-9]+", line)
        if number and len(fields) == len(FIELDS):
            job_id = f"{number[0]};{cluster}" if cluster else number[0]
            status = _parse_line("|".join(fields), SlurmId.parse(job_id))
            if status is not None:
                found.append(replace(status, name=name))
    return found


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the cluster that squeue printed above it."""
    cluster = ""
    for line in text.splitlines():
        if line.startswith("CLUSTER: "):
            cluster = line[len("CLUSTER: ") :].strip()
        elif line.strip():
            yield cluster, line


def _parse_line(line: str, one: SlurmId) -> JobInfo | None:
    fields = line.split("|", len(FIELDS) - 1)
    if len(fields) != len(FIELDS):
        return unreadable(one.text) if one.is_listed_as(fields[0]) else None
    listed, native, host, start, end, queue, reason = fields
    if not one.is_listed_as(listed):
        return None
    state = state_of(native, reason)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=native,
        reason=reason_of(state, reason),
        host=named(host),
        queue=queue,
        start=None if state.is_waiting else seconds(start),
        expected_start=seconds(start) if state.is_waiting else None,
        end=None if state.is_waiting else seconds(end),
    )


def parse_tagged(result: CommandResult, answered: Check) -> list[TaggedJob]:
    """Return all jobs with their owners and the text that may hold a tag. Raises SchedulerError."""
    answered(result)
    found = []
    for cluster, line in _lines(result.stdout):
        # A line break in a comment can forge a line about another's job: see TaggedJob.
        listed, _, rest = line.partition("|")
        owner, _, text = rest.partition("|")
        if number := re.match(r"[0-9]+", listed):
            job_id = f"{number[0]};{cluster}" if cluster else number[0]
            found.append(TaggedJob(job_id, owner, text))
    return list(dict.fromkeys(found))


def parse_find(result: CommandResult, tag: str, answered: Check) -> list[str]:
    """Return the ids of the jobs that carry a tag, once each. Raises SchedulerError."""
    answered(result)
    found = {}
    for cluster, line in _lines(result.stdout):
        listed, _, labels = line.partition("|")
        # The tasks of an array and the parts of a heterogeneous job were one submit.
        number = re.match(r"[0-9]+", listed)
        if number and tag in labels.split("|"):
            found[f"{number[0]};{cluster}" if cluster else number[0]] = True
    return list(found)
