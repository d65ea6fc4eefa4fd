"""States of LSF jobs, from both forms of the output of bjobs."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ...jobs import JobInfo, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

# "Job states" in
# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=execution-about-job-states
STATES = {
    "PEND": JobState.PENDING,
    "PROV": JobState.PENDING,
    "WAIT": JobState.PENDING,
    "PSUSP": JobState.HELD,
    "FWD_PEND": JobState.PENDING,
    "RUN": JobState.RUNNING,
    "USUSP": JobState.SUSPENDED,
    "SSUSP": JobState.SUSPENDED,
    "DONE": JobState.COMPLETED,
    "EXIT": JobState.FAILED,
    # The daemon of the job's host does not answer: the job may be alive.
    "UNKWN": JobState.UNKNOWN,
    "ZOMBI": JobState.UNKNOWN,
}

# "Termination reasons" in
# https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=logs-termination-reasons
_REASONS = {
    "TERM_RUNLIMIT": JobState.TIMEOUT,
    "TERM_CPULIMIT": JobState.TIMEOUT,
    "TERM_DEADLINE": JobState.TIMEOUT,
    "TERM_WINDOW": JobState.TIMEOUT,
    "TERM_MEMLIMIT": JobState.OUT_OF_MEMORY,
    "TERM_SWAP": JobState.OUT_OF_MEMORY,
    "TERM_OWNER": JobState.CANCELLED,
    "TERM_ADMIN": JobState.CANCELLED,
    "TERM_FORCE_ADMIN": JobState.CANCELLED,
    "TERM_FORCE_OWNER": JobState.CANCELLED,
    "TERM_PREEMPT": JobState.PREEMPTED,
    "TERM_REQUEUE_OWNER": JobState.PREEMPTED,
    "TERM_REQUEUE_ADMIN": JobState.PREEMPTED,
    "TERM_ZOMBIE": JobState.NODE_FAIL,
    "TERM_EXTERNAL_SIGNAL": JobState.FAILED,
}
# If there is no reason: INT is the first signal of bkill, USR2 is sent at the run limit.
_SIGNALS = {2: JobState.CANCELLED, 12: JobState.TIMEOUT}

_STATUS = re.compile(r"Status\s*<([A-Z_\s]+)>")
_HOST = re.compile(
    r"Started (?:\d+ Task\(s\) )?on (?:Host\(s\) )?(?:\d+ Hosts/Processors )?<([^>]+)>"
)
_EXIT = re.compile(r"Exited with exit code (\d+)")
_PENDING = re.compile(r"PENDING REASONS:\s*(.+?)(?:;|\n\s*\n)", re.DOTALL)
_START = re.compile(
    r"^(\w{3} +\w{3} +\d+ \d+:\d+:\d+)(?: \d+)?: (?:\[\d+\] )?[Ss]tarted", re.MULTILINE
)


def status_of_record(job_id: str, record: Mapping[str, str]) -> JobInfo:
    """Return the status in a record of `bjobs -json`, whose keys are names of fields."""
    native = record.get("STAT", "")
    finish = record.get("FINISH_TIME", "")
    return _status(
        job_id,
        native,
        reason=record.get("PEND_REASON", ""),
        ended_by=record.get("EXIT_REASON", ""),
        code=record.get("EXIT_CODE", ""),
        host=first_host(record.get("EXEC_HOST", "")),
        queue=record.get("QUEUE", ""),
        name=record.get("JOB_NAME", ""),
        start=_moment(record.get("START_TIME", "")),
        # " L" marks a limit, " E" and " X" estimates of something else.
        end=_moment(finish) if native in ("DONE", "EXIT") or finish.endswith(" L") else None,
    )


def status_of_lines(job_id: str, text: str) -> JobInfo | None:
    """Return the status in the output of `bjobs -l`, None if there is no status in it."""
    # Lines are folded at column 80, in the middle of words.
    whole = re.sub(r"\n {21}", "", text)
    status = _STATUS.search(whole)
    if not status:
        return None
    host, code, reason = _HOST.search(whole), _EXIT.search(whole), _PENDING.search(whole)
    start = _START.search(whole)
    return _status(
        job_id,
        re.sub(r"\s", "", status[1]),
        reason=reason[1] if reason else "",
        ended_by=" ".join(re.findall(r"TERM_\w+", whole)),
        code=code[1] if code else "",
        host=first_host(host[1]) if host else "",
        start=_moment(start[1]) if start else None,
    )


def first_host(hosts: str) -> str:
    """Return node1 of ``4*node1:2*node2``, ``node1:node1`` or ``node1``."""
    first = "" if hosts.strip() == "-" else hosts.split(":")[0].strip()
    return first.rpartition("*")[2]


def _status(
    job_id: str,
    native: str,
    *,
    reason: str,
    ended_by: str,
    code: str,
    host: str,
    queue: str = "",
    name: str = "",
    start: float | None = None,
    end: float | None = None,
) -> JobInfo:
    state = STATES.get(native, JobState.UNKNOWN)
    exit_code = int(code) if state.is_final and code.isdecimal() else None
    if native == "DONE":
        exit_code = 0
    number = exit_code - 128 if exit_code and exit_code > 128 else None
    said = re.search(r"TERM_\w+", ended_by)
    if native == "EXIT":
        by_reason = _REASONS.get(said[0]) if said else _SIGNALS.get(number or 0)
        # A job that was killed while it waited has neither a reason nor an exit status.
        state = by_reason or (JobState.FAILED if exit_code else JobState.CANCELLED)
    return JobInfo(
        job_id=job_id,
        state=state,
        native=native,
        reason=" ".join((reason if state.is_waiting else said[0] if said else "").split()),
        host="" if state.is_waiting else host,
        queue=queue,
        name=name,
        start=None if state.is_waiting else start,
        end=end,
        exit_code=None if number else exit_code,
        signal=number,
    )


def _moment(text: str) -> float | None:
    """Parse ``Nov 20 21:14`` and ``Fri Nov 20 21:14:51``, which do not contain the year."""
    match = re.match(r"(?:\w{3} )?(\w{3}) +(\d+) (\d+):(\d+)(?::(\d+))?(?: (\d{4}))?", text.strip())
    if not match:
        return None
    month, day, hour, minute, second, year = match.groups()
    now = time.localtime()
    for guess in (int(year),) if year else (now.tm_year, now.tm_year - 1):
        stamp = f"{guess} {month} {day} {hour} {minute} {second or 0}"
        try:
            moment = time.mktime(time.strptime(stamp, "%Y %b %d %H %M %S"))
        except ValueError:
            continue
        # A limit may be days ahead; a date of last December is in the past.
        if moment < time.time() + 180 * 86400:
            return moment
    return None
