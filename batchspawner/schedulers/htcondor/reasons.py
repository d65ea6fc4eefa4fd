"""Explanations of the reasons for which HTCondor holds jobs.

The codes of holds: https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html
"""

from __future__ import annotations

from ..reasons import ASK_SUPPORT, Reason

REASONS = (
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
        f"Stop this server. {ASK_SUPPORT}",
        forever=True,
    ),
    Reason(
        r"failed to execute|exec format",
        "its script cannot be run on its node",
        f"Stop this server. {ASK_SUPPORT}",
        forever=True,
    ),
    Reason(r".", "HTCondor has put it on hold", f"Stop this server. {ASK_SUPPORT}", forever=True),
)
