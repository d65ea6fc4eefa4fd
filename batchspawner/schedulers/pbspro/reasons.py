"""Explanations of the comments of PBS Pro, OpenPBS and Torque on jobs that wait.

OpenPBS: https://github.com/openpbs/openpbs/blob/master/src/scheduler/constant.h
Torque: https://github.com/adaptivecomputing/torque/tree/6.1.2/src/scheduler.cc
"""

from __future__ import annotations

from ..reasons import Reason

_FEWER = "Stop another server or job of yours, or ask for less."

REASONS = (
    Reason(
        r"hold|held",
        "it is on hold",
        "Release it (qrls), or ask the support of this cluster, with the job's number.",
        forever=True,
    ),
    Reason(
        r"can never run|never be satisfied",
        "no node has all that it asks for",
        "It will not start like this. Stop this server and choose other values.",
        forever=True,
    ),
    Reason(
        r"(?:user|per-user|by user).*(?:limit|max)|(?:limit|max).*(?:user\b|per user)",
        "you already use as much as one user may have here at a time",
        _FEWER,
    ),
    Reason(
        r"(?:group|project|generic|entity).*limit|limit.*(?:group|project)",
        "your group or project already uses as much as it may have at a time",
        _FEWER,
    ),
    Reason(
        r"(?:queue|server).*(?:job|running).*limit|limit.*(?:queue|server)",
        "as many jobs as may run in its queue at a time do so",
        "Wait, or stop this server and choose another queue.",
    ),
    Reason(
        r"Insufficient amount of (?:queue |server )?resource:? ?(?P<what>\w+)",
        "too little is free of what it needs (%(what)s)",
        "It starts when enough is free. A smaller request may start earlier.",
    ),
    Reason(
        r"not enough|no (?:free )?nodes",
        "too little is free of what it needs",
        "It starts when enough is free. A smaller request may start earlier.",
    ),
    Reason(
        r"queue (?:is )?not (?:started|enabled)|queue.*(?:stopped|closed)",
        "its queue starts no jobs at present",
        "Wait, or stop this server and choose another queue.",
    ),
    Reason(
        r"dedicated|primetime|non-primetime|cross.*boundary",
        "it would not end before a time that is kept for others",
        "Ask for a shorter time, or wait.",
    ),
    Reason(r"reservation", "its reservation has not begun, or is full"),
    Reason(
        r"fairshare|starv|higher priority|strict order|top job|backfill",
        "jobs that come before it wait, too",
    ),
    Reason(r"provision", "its node is being prepared"),
    Reason(r"depend", "it waits for another job to end"),
)
