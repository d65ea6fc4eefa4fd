"""Know what Grid Engine, HTCondor, OAR, Moab and the local queue mean when a job waits.

Grid Engine: the states of qstat(1). HTCondor: the codes of holds in
https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html
OAR: the Message of oarstat(1). Moab: BlockReason and Hold of checkjob.
"""

from __future__ import annotations

from .reasons import Reason

_SUPPORT = "Tell the support of this cluster the job's number."
_FEWER = "Stop another server or job of yours, or ask for less."
_FREE = "It starts when enough is free. A smaller request may start earlier."

GRIDENGINE = (
    Reason(
        r"its start failed",
        "its start on a node failed, and Grid Engine has stopped it",
        f"Stop this server and start it again. {_SUPPORT}",
        forever=True,
    ),
    Reason(
        r"on hold",
        "it is on hold, or waits for another job to end",
        "If you have put it on hold, release it (qrls); else ask the support of this cluster.",
    ),
)

HTCONDOR = (
    Reason(
        r"on hold at user's request|via condor_hold \(by user",
        "you, or a program of yours, put it on hold",
        "Release it (condor_release), or stop this server and start it again.",
        forever=True,
    ),
    Reason(
        r"exceeded (?:allowed )?(?:job )?(?:duration|memory|disk)|memory usage|cgroup",
        "it has used more than it had asked for",
        "Stop this server, and start it again with more.",
        forever=True,
    ),
    Reason(
        r"no such file|cannot access|permission denied|failed to (?:open|create|chdir)",
        "a file or a folder that it needs is not there, or is not readable",
        f"Stop this server. {_SUPPORT}",
        forever=True,
    ),
    Reason(
        r"failed to execute|exec format",
        "its script cannot be run on its node",
        f"Stop this server. {_SUPPORT}",
        forever=True,
    ),
    Reason(r".", "HTCondor has put it on hold", f"Stop this server. {_SUPPORT}", forever=True),
)

OAR = (
    Reason(
        r"quota_exceeded|quota (?:is )?exceeded",
        "you, your project or its queue already use as much as they may at a time",
        _FEWER,
    ),
    Reason(
        r"no matching|not enough resources|cannot be scheduled|impossible",
        "no node has all that it asks for",
        "It will not start like this. Stop this server and choose other values.",
        forever=True,
    ),
    Reason(r"anterior|depend", "it waits for another job to end"),
    Reason(r"reservation", "the time that it has reserved has not come"),
    Reason(r"Karma|quota_ok|R=\d+,W=", "what it needs is in use by others", _FREE),
)

MOAB = (
    Reason(
        r"(?:user|system|batch) ?hold|held",
        "it is on hold",
        f"If it is your own hold, release it (releasehold). {_SUPPORT}",
        forever=True,
    ),
    Reason(
        r"violates .*MAX\w* limit of (?P<limit>\d+).*user",
        "you already have as many as one user may have here at a time ({limit})",
        _FEWER,
    ),
    Reason(r"violates .*limit", "a limit of you, your group or your account is reached", _FEWER),
    Reason(r"reservation", "its reservation has not begun, or is full"),
    Reason(r"depend", "it waits for another job to end"),
    Reason(r"RM failure|cannot start", "its node could not start it", _SUPPORT),
    Reason(
        r"no(?:t enough)? (?:nodes|procs|resources)|insufficient|unavailable",
        "what it needs is in use by others",
        _FREE,
    ),
)

LOCAL = (
    Reason(
        r"needs (?P<slots>\d+) of the slots, (?P<free>\d+) free; (?P<ahead>\d+) ahead",
        "it needs {slots} of the queue's slots, {free} are free, and {ahead} before it wait, too",
        "Stop another server of yours, or wait until one ends.",
    ),
    Reason(
        r"needs (?P<slots>\d+) of the slots, (?P<free>\d+) free",
        "it needs {slots} of the queue's slots, and {free} are free; it is the next one",
        "Stop another server of yours, or wait until one ends.",
    ),
)
