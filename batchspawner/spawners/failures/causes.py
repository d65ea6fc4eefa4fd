"""Causes why a job ended without a server, each with what its user can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...jobs import JobInfo


@dataclass(frozen=True)
class Cause:
    """Why there is no server. `word` names it in metrics, `title` and `advice` are for the user."""

    word: str
    title: str
    advice: str


REFUSED = Cause(
    "job_refused",
    "The scheduler refused the job.",
    "Choose other values and start again; the message above names the one that is not accepted.",
)
UNSENT = Cause(
    "scheduler_unavailable",
    "The job could not be submitted.",
    "Try again later; if it stays so, tell the administrator.",
)
CANCELLED = Cause(
    "job_cancelled",
    "The job was cancelled before its server was there.",
    "If it was not you, ask the support of this cluster, with the job's number. Start again "
    "whenever you like.",
)
OUT_OF_MEMORY = Cause(
    "out_of_memory",
    "The job needed more memory than it had asked for.",
    "Start again with more memory.",
)
WALLTIME = Cause(
    "walltime",
    "The time of the job was over before its server was there.",
    "Start again with more time. If its start takes long every time, see the log.",
)
NODE_DIED = Cause(
    "node_died",
    "The node of the job has failed.",
    "It was not your fault. Start again; the job will get another node.",
)
PREEMPTED = Cause(
    "job_preempted",
    "The job had to make room for another one.",
    "Start again, or choose a queue whose jobs are not preempted.",
)
ENVIRONMENT = Cause(
    "environment_missing",
    "Something that the server needs is missing on the node.",
    "See the log for what is missing. If you have chosen an environment, choose another one; "
    "else tell the administrator.",
)
HUB_UNREACHABLE = Cause(
    "hub_unreachable",
    "The job's node could not reach the Hub.",
    "You cannot repair that: tell the administrator, with the job's number and its node.",
)
HUB_REFUSED = Cause(
    "hub_unreachable",
    "The Hub did not accept the job's report.",
    "See the log for the Hub's answer. Start again; if it fails again, tell the administrator.",
)
NO_PORT = Cause(
    "no_port",
    "The job's node had no free port for the server.",
    "Start again; another node may have one. If it fails again, tell the administrator.",
)
CRASHED = Cause(
    "job_failed",
    "The job ended before its server was there.",
    "See the log for the reason. Start again; if it fails again, tell the administrator.",
)
GONE = Cause(
    "job_lost",
    "The scheduler has no trace of the job any more.",
    "Start again; if it happens again, tell the administrator.",
)
TOO_LONG = Cause(
    "start_timeout",
    "The job did not start in time.",
    "Start again when the queue is shorter, or ask for less.",
)
SILENT = Cause(
    "server_silent",
    "The job ran, but its server was not there in time.",
    "See the log for what it was doing. Start again; if it fails again, tell the administrator.",
)

_BY_STATE: Mapping[JobState, Cause] = {
    JobState.CANCELLED: CANCELLED,
    JobState.OUT_OF_MEMORY: OUT_OF_MEMORY,
    JobState.TIMEOUT: WALLTIME,
    JobState.NODE_FAIL: NODE_DIED,
    JobState.PREEMPTED: PREEMPTED,
}

# What batchspawner.singleuser and the shell end with, and what that says besides the cause.
_BY_EXIT: Mapping[int, tuple[Cause, str]] = {
    69: (HUB_REFUSED, ""),
    71: (NO_PORT, "All ports on which its server may listen are in use there."),
    75: (HUB_UNREACHABLE, "Its node could not reach the Hub at {api_url}."),
    78: (ENVIRONMENT, "Its environment was not complete."),
    126: (ENVIRONMENT, "A command could not be run on its node."),
    127: (ENVIRONMENT, "A command was not found on its node."),
}

_BY_LOG = (
    (
        re.compile(
            r"out of memory|oom.?kill|cannot allocate memory|memory exhausted|MemoryError",
            re.IGNORECASE,
        ),
        OUT_OF_MEMORY,
    ),
    (
        re.compile(
            r"cannot reach the Hub|(?:connection refused|timed out|name or service not known)"
            r".*hub/api",
            re.IGNORECASE,
        ),
        HUB_UNREACHABLE,
    ),
    (
        re.compile(
            r"command not found|ModuleNotFoundError|No module named|not found on this node"
            r"|unable to locate a modulefile|No such file or directory|EnvironmentNameNotFound"
            r"|cannot be started|execve\(\)",
            re.IGNORECASE,
        ),
        ENVIRONMENT,
    ),
)


def cause_of(status: JobInfo, log: str) -> Cause:
    """Return why a job ended without a server, by its status, its exit status or its log."""
    if status.gone:
        return GONE
    if status.state in _BY_STATE:
        return _BY_STATE[status.state]
    if status.exit_code and status.exit_code in _BY_EXIT:
        return _BY_EXIT[status.exit_code][0]
    for pattern, cause in _BY_LOG:
        if pattern.search(log):
            return cause
    return CRASHED


def exit_meaning(code: int | None, api_url: Callable[[], str]) -> str:
    """Return a sentence about an exit status of a job, empty if there is nothing to say.

    `api_url` returns the address of the Hub that the job was given.
    """
    _, meaning = _BY_EXIT.get(code or 0, (CRASHED, ""))
    return meaning.format(api_url=api_url()) if meaning else ""
