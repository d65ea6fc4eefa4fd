"""Reasons of the failures after which a test was repeated, at the end of a run.

pytest-rerunfailures shows the traceback of the last attempt only. With
``BATCHSPAWNER_FIRST_FAILURES`` they are also appended to that file, for the end of `make test`.
"""

from __future__ import annotations

import os

SHOWN_LINES = 60
"""Lines of a captured log that are shown: its end."""


def pytest_terminal_summary(terminalreporter):
    repeated = terminalreporter.stats.get("rerun", [])
    if not repeated:
        return
    terminalreporter.write_sep("=", "first failures of repeated tests")
    text = "\n".join(map(described, repeated))
    terminalreporter.write_line(text)
    file = os.environ.get("BATCHSPAWNER_FIRST_FAILURES")
    if file:
        with open(file, "a", encoding="utf-8") as out:
            out.write(text + "\n")


def described(report) -> str:
    """Return what a report says about a failure: the traceback, and what was captured."""
    parts = [f"----- {report.nodeid} ({report.when})", report.longreprtext]
    for title, content in report.sections:
        lines = content.splitlines()[-SHOWN_LINES:]
        parts.append("\n".join([f"--- {title}", *lines]))
    return "\n".join(parts)
