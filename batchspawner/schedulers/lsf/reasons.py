"""Explanations of the reasons for which LSF lets jobs pend.

https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=jobs-view-pending-reasons
"""

from __future__ import annotations

from ..reasons import Reason

REASONS = (
    Reason(
        r"suspended by the user|held by (?:the )?user",
        "you, or a program of yours, put it on hold",
        "Release it (bresume), or stop this server and start it again.",
        forever=True,
    ),
    Reason(
        r"suspended by (?:the )?(?:admin|LSF)|held by",
        "an administrator has put it on hold",
        "Tell the support of this cluster the job's number.",
        forever=True,
    ),
    Reason(
        r"never be (?:satisfied|scheduled)|requirements? not satisfied.*all|no eligible host",
        "no host has all that it asks for",
        "It will not start like this. Stop this server and choose other values.",
        forever=True,
    ),
    Reason(
        r"user.{0,40}(?:job slot )?limit|per-user.*limit",
        "you already use as much as one user may have here at a time",
        "Stop another server or job of yours, or ask for less.",
    ),
    Reason(
        r"project.*limit|group.*limit",
        "your project or group already uses as much as it may have at a time",
        "Stop another server or job of yours, or wait until a job of the group ends.",
    ),
    Reason(
        r"queue.*limit|job slot limit|(?:slot|host).*limit reached",
        "as many jobs as may run here at a time do so",
        "It starts when one of them ends.",
    ),
    Reason(
        r"queue.*(?:inactivated|closed|window)",
        "its queue starts no jobs at present",
        "Wait, or stop this server and choose another queue.",
    ),
    Reason(
        r"resource|load|memory|not enough|closed_|hosts? (?:is|are) (?:busy|full)",
        "too little is free of what it needs",
        "It starts when enough is free. A smaller request may start earlier.",
    ),
    Reason(r"advance reservation|reserved", "hosts that it could use are reserved for others"),
    Reason(r"dependency|condition", "it waits for another job to end"),
    Reason(r"license", "all licences that it needs are in use"),
    Reason(
        r"new job|not (?:yet )?(?:been )?considered|just been submitted|scheduling",
        "LSF has not looked at it yet",
    ),
    Reason(r"priority|fairshare|preced", "jobs that come before it wait, too"),
)
