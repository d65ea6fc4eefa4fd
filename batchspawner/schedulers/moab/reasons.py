"""Explanations of the reasons for which Moab blocks jobs.

BlockReason and Hold of checkjob:
http://www.adaptivecomputing.com/resources/docs/mwm/commands/mjobctl.html
"""

from __future__ import annotations

from ..reasons import ASK_SUPPORT, RESOURCES_IN_USE, USE_LESS, WAITS_FOR_A_JOB, WHEN_FREE, Reason

REASONS = (
    Reason(
        r"(?:user|system|batch) ?hold|held",
        "it is on hold",
        f"If it is your own hold, release it (releasehold). {ASK_SUPPORT}",
        forever=True,
    ),
    Reason(
        r"violates .*MAX\w* limit of (?P<limit>\d+).*user",
        "you already have as many as one user may have here at a time (%(limit)s)",
        USE_LESS,
    ),
    Reason(r"violates .*limit", "a limit of you, your group or your account is reached", USE_LESS),
    Reason(r"reservation", "its reservation has not begun, or is full"),
    Reason(r"depend", WAITS_FOR_A_JOB),
    Reason(r"RM failure|cannot start", "its node could not start it", ASK_SUPPORT),
    Reason(
        r"no(?:t enough)? (?:nodes|procs|resources)|insufficient|unavailable",
        RESOURCES_IN_USE,
        WHEN_FREE,
    ),
)
