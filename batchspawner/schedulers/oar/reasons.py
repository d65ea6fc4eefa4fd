"""Explanations of the messages with which OAR lets jobs wait.

The message of a job: https://oar-documentation.readthedocs.io/en/2.5/user/commands.html (oarstat)
"""

from __future__ import annotations

from ..reasons import CHOOSE_OTHERS, RESOURCES_IN_USE, USE_LESS, WAITS_FOR_A_JOB, WHEN_FREE, Reason

REASONS = (
    Reason(
        r"quota_exceeded|quota (?:is )?exceeded",
        "you, your project or its queue already use as much as they may at a time",
        USE_LESS,
    ),
    Reason(
        r"no matching|not enough resources|cannot be scheduled|impossible",
        "no node has all that it asks for",
        CHOOSE_OTHERS,
        forever=True,
    ),
    Reason(r"anterior|depend", WAITS_FOR_A_JOB),
    Reason(r"reservation", "the time that it has reserved has not come"),
    Reason(r"Karma|quota_ok|R=\d+,W=", RESOURCES_IN_USE, WHEN_FREE),
)
