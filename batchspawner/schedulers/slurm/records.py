"""Slurm's records of one job: those of the controller (scontrol) and of accounting (sacct).

Manuals: https://slurm.schedmd.com/scontrol.html and https://slurm.schedmd.com/sacct.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...jobs import JobInfo
from .states import SlurmId, end_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...commands import CommandResult

ACCOUNTING = "JobID,State,ExitCode,DerivedExitCode,Start,End,NodeList,Partition,Reason"
UNKNOWN_JOB = re.compile("invalid job id specified", re.IGNORECASE)
_NO_ACCOUNTING = re.compile("accounting storage is disabled", re.IGNORECASE)


def parse_scontrol(
    result: CommandResult, one: SlurmId, answered: Callable[[CommandResult], None]
) -> JobInfo | None:
    """Return the status in the record of `scontrol show job`, None for an unknown job.

    `answered` raises SchedulerError for a command that failed.
    """
    if UNKNOWN_JOB.search(result.text):
        return None
    answered(result)
    for line in result.stdout.splitlines():
        facts = dict(re.findall(r"(?:^|\s)([A-Z]\w*)=(\S+)", line))
        if "JobState" in facts and one.is_record(facts):
            return _status_of_record(facts, one)
    return None


def _status_of_record(facts: dict[str, str], one: SlurmId) -> JobInfo:
    derived = facts.get("DerivedExitCode", "")
    state, reason = end_of(facts["JobState"], facts.get("Reason", ""), derived)
    code, number = _exit(facts.get("ExitCode", "")) if state.is_final else (None, None)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=facts["JobState"],
        reason=reason_of(state, reason),
        host=named(facts.get("BatchHost", "")),
        queue=named(facts.get("Partition", "")),
        start=None if state.is_waiting else seconds(facts.get("StartTime", "")),
        expected_start=seconds(facts.get("StartTime", "")) if state.is_waiting else None,
        end=None if state.is_waiting else seconds(facts.get("EndTime", "")),
        exit_code=code,
        signal=number,
    )


def parse_sacct(
    result: CommandResult, one: SlurmId, answered: Callable[[CommandResult], None]
) -> JobInfo | None:
    """Return the status in the records of sacct, None for an unknown job or without accounting.

    `answered` raises SchedulerError for a command that failed.
    """
    if not result.ok and _NO_ACCOUNTING.search(result.text):
        return None
    answered(result)
    status = None
    for line in result.stdout.splitlines():
        fields = line.split("|", ACCOUNTING.count(","))
        # The last record is the newest: a requeued job has one for each of its lives.
        if len(fields) == ACCOUNTING.count(",") + 1 and fields[0] == one.local:
            status = _status_of_account(fields, one)
    return status


def _status_of_account(fields: list[str], one: SlurmId) -> JobInfo:
    _, native, exit_code, derived, start, end, nodes, queue, reason = fields
    # "CANCELLED by 1001"
    native, _, by = native.partition(" by ")
    state, reason = end_of(native, reason, derived)
    code, number = _exit(exit_code) if state.is_final else (None, None)
    return JobInfo(
        job_id=one.text,
        state=state,
        native=native,
        reason=f"cancelled by user id {by}" if by else reason_of(state, reason),
        host=named(nodes.partition(",")[0]) if "[" not in nodes else "",
        queue=queue,
        start=seconds(start),
        end=seconds(end),
        exit_code=code,
        signal=number,
    )


def _exit(text: str) -> tuple[int | None, int | None]:
    """Parse an exit status of the form ``code:signal``."""
    code, _, number = text.partition(":")
    if not code.isdigit():
        return None, None
    return int(code), int(number) if number.isdigit() and number != "0" else None


def seconds(text: str) -> float | None:
    """Parse seconds since the epoch (SLURM_TIME_FORMAT=%s); N/A and Unknown are None."""
    return float(text) if text.isdigit() and text != "0" else None


def named(text: str) -> str:
    """Return a host or queue, an empty text if Slurm says that there is none."""
    return "" if text in ("n/a", "(null)", "None assigned", "N/A") else text
