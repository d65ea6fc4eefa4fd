"""Causes why a job ended without a server, each with what its user can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...jobs import JobState
from ...message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...jobs import JobInfo


@dataclass(frozen=True)
class Cause:
    """Why there is no server. `word` names it in metrics, `title` and `advice` are for the user."""

    word: str
    title: Message
    advice: Message


REFUSED = Cause(
    "job_refused",
    Message("The scheduler refused the job."),
    Message(
        "Choose other values and start again; the message above names the one that is not accepted."
    ),
)
UNSENT = Cause(
    "scheduler_unavailable",
    Message("The job could not be submitted."),
    Message("Try again later; if it stays so, tell the administrator."),
)
CANCELLED = Cause(
    "job_cancelled",
    Message("The job was cancelled before its server was there."),
    Message(
        "If it was not you, ask the support of this cluster, with the job's number. Start again "
        "whenever you like."
    ),
)
OUT_OF_MEMORY = Cause(
    "out_of_memory",
    Message("The job needed more memory than it had asked for."),
    Message("Start again with more memory."),
)
WALLTIME = Cause(
    "walltime",
    Message("The time of the job was over before its server was there."),
    Message("Start again with more time. If its start takes long every time, see the log."),
)
NODE_DIED = Cause(
    "node_died",
    Message("The node of the job has failed."),
    Message("It was not your fault. Start again; the job will get another node."),
)
PREEMPTED = Cause(
    "job_preempted",
    Message("The job had to make room for another one."),
    Message("Start again, or choose a queue whose jobs are not preempted."),
)
ENVIRONMENT = Cause(
    "environment_missing",
    Message("Something that the server needs is missing on the node."),
    Message(
        "See the log for what is missing. If you have chosen an environment, choose another one; "
        "else tell the administrator."
    ),
)
HUB_UNREACHABLE = Cause(
    "hub_unreachable",
    Message("The job's node could not reach the Hub."),
    Message("You cannot repair that: tell the administrator, with the job's number and its node."),
)
HUB_REFUSED = Cause(
    "hub_unreachable",
    Message("The Hub did not accept the job's report."),
    Message(
        "See the log for the Hub's answer. Start again; if it fails again, tell the administrator."
    ),
)
NO_PORT = Cause(
    "no_port",
    Message("The job's node had no free port for the server."),
    Message("Start again; another node may have one. If it fails again, tell the administrator."),
)
PORT_TAKEN = Cause(
    "port_taken",
    Message("Somebody else on the job's node has taken the port of the server."),
    Message(
        "Start again; the server will get another port. Tell the administrator, with the job's "
        "number and the line of the log that names the other user."
    ),
)
CRASHED = Cause(
    "job_failed",
    Message("The job ended before its server was there."),
    Message("See the log for the reason. Start again; if it fails again, tell the administrator."),
)
GONE = Cause(
    "job_lost",
    Message("The scheduler has no trace of the job any more."),
    Message("Start again; if it happens again, tell the administrator."),
)
TOO_LONG = Cause(
    "start_timeout",
    Message("The job did not start in time."),
    Message("Start again when the queue is shorter, or ask for less."),
)
SILENT = Cause(
    "server_silent",
    Message("The job ran, but its server was not there in time."),
    Message(
        "See the log for what it was doing. Start again; if it fails again, tell the administrator."
    ),
)

_BY_STATE: Mapping[JobState, Cause] = {
    JobState.CANCELLED: CANCELLED,
    JobState.OUT_OF_MEMORY: OUT_OF_MEMORY,
    JobState.TIMEOUT: WALLTIME,
    JobState.NODE_FAIL: NODE_DIED,
    JobState.PREEMPTED: PREEMPTED,
}

# What batchspawner.singleuser and the shell end with, and what that says besides the cause.
_BY_EXIT: Mapping[int, tuple[Cause, Message]] = {
    69: (HUB_REFUSED, Message("")),
    71: (NO_PORT, Message("All ports on which its server may listen are in use there.")),
    75: (HUB_UNREACHABLE, Message("Its node could not reach the Hub at %(hub)s.")),
    78: (ENVIRONMENT, Message("Its environment was not complete.")),
    126: (ENVIRONMENT, Message("A command could not be run on its node.")),
    127: (ENVIRONMENT, Message("A command was not found on its node.")),
}

_BY_LOG = (
    (re.compile(r"user \d+ has opened port \d+ in the server's place"), PORT_TAKEN),
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


def exit_meaning(code: int | None, api_url: Callable[[], str]) -> Message:
    """Return a sentence about an exit status of a job, empty if there is nothing to say.

    `api_url` returns the address of the Hub that the job was given.
    """
    _, meaning = _BY_EXIT.get(code or 0, (CRASHED, Message("")))
    return Message(meaning.text, hub=api_url()) if meaning else meaning
