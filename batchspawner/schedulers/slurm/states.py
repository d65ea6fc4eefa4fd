"""Slurm's job ids and its words for the state of a job."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...jobs import JobState
from ..reasons import explain
from . import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

_OUT_OF_MEMORY = "0:125"
"""The exit code of a step that was short of memory: https://slurm.schedmd.com/job_exit_code.html"""

# https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES
# https://slurm.schedmd.com/job_state_codes.html (the flags that newer releases show)
STATES: Mapping[str, JobState] = {
    "BOOT_FAIL": JobState.NODE_FAIL,
    "CANCELLED": JobState.CANCELLED,
    "COMPLETED": JobState.COMPLETED,
    "COMPLETING": JobState.COMPLETING,
    "CONFIGURING": JobState.PENDING,
    "DEADLINE": JobState.TIMEOUT,
    "EXPEDITING": JobState.PENDING,
    "FAILED": JobState.FAILED,
    "LAUNCH_FAILED": JobState.NODE_FAIL,
    "NODE_FAIL": JobState.NODE_FAIL,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "PENDING": JobState.PENDING,
    "POWER_UP_NODE": JobState.PENDING,
    "PREEMPTED": JobState.PREEMPTED,
    "RECONFIG_FAIL": JobState.NODE_FAIL,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.HELD,
    "RESIZING": JobState.RUNNING,
    "RESV_DEL_HOLD": JobState.HELD,
    # Its sibling in another cluster of the federation runs instead.
    "REVOKED": JobState.UNKNOWN,
    "RUNNING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "SPECIAL_EXIT": JobState.HELD,
    "STAGE_OUT": JobState.COMPLETING,
    "STOPPED": JobState.SUSPENDED,
    "SUSPENDED": JobState.SUSPENDED,
    "TIMEOUT": JobState.TIMEOUT,
    "UPDATE_DB": JobState.COMPLETING,
}


def state_of(native: str, reason: str = "") -> JobState:
    """Return the state for Slurm's word; a held job is PENDING for a reason that says so."""
    state = STATES.get(native, JobState.UNKNOWN)
    # "JobHeldUser", "JobHeldAdmin", "launch failed requeued held"
    if state is JobState.PENDING and "held" in reason.lower():
        return JobState.HELD
    return state


def end_of(native: str, reason: str, derived: str) -> tuple[JobState, str]:
    """Return state and reason of a job that has ended.

    If a step ran out of memory, the job itself is FAILED with 1, the exit status of srun.
    """
    state = state_of(native, reason)
    if state is JobState.FAILED and derived == _OUT_OF_MEMORY:
        return JobState.OUT_OF_MEMORY, "OutOfMemory"
    return state, reason


def reason_of(state: JobState, reason: str) -> str:
    """Return the reason of a state, nothing for what a cancelled job had only waited for."""
    if reason == "None":
        return ""
    if state is JobState.CANCELLED:
        waited = explain(reasons.REASONS, reason)
        if waited.meaning and not waited.forever:
            return ""
    return reason


@dataclass(frozen=True)
class SlurmId:
    """A job id and its parts; `text` is the whole id, as sbatch --parsable printed it."""

    text: str
    number: str
    part: str
    cluster: str

    @classmethod
    def parse(cls, text: str) -> SlurmId:
        local, _, cluster = text.partition(";")
        number = local[: len(local) - len(local.lstrip("0123456789"))]
        return cls(text, number, local[len(number) :], cluster)

    @property
    def local(self) -> str:
        """The id inside its cluster, as commands take it."""
        return f"{self.number}{self.part}"

    @property
    def cluster_option(self) -> tuple[str, ...]:
        return ("-M", self.cluster) if self.cluster else ()

    def is_listed_as(self, listed: str) -> bool:
        """Check whether squeue's line with this id is about the job.

        Waiting tasks of an array share one line, ``12_[3-5,8%2]``; the first component of a
        heterogeneous job, ``12+0``, runs the script and stands for the whole.
        """
        part = listed[len(self.number) :]
        if part.startswith("_["):
            return not self.part or _holds(part[2:].rstrip("]"), self.part[1:])
        if part == self.part:
            return True
        return not self.part and (part == "+0" or part.startswith("_"))

    def is_record(self, facts: Mapping[str, str]) -> bool:
        """Check whether a record of scontrol is about the job itself, not about a sibling."""
        if self.part.startswith("_"):
            task = facts.get("ArrayTaskId", "")
            return facts.get("ArrayJobId") == self.number and _holds(task, self.part[1:])
        if self.part.startswith("+"):
            return facts.get("HetJobOffset") == self.part[1:]
        return True


def _holds(ranges: str, index: str) -> bool:
    """Check whether ``1-3,7,10-20:5%2`` contains an array index."""
    for piece in ranges.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", piece)
        if match and index.isdigit():
            first, last = int(match[1]), int(match[2] or match[1])
            if first <= int(index) <= last and (int(index) - first) % int(match[3] or 1) == 0:
                return True
    return False
