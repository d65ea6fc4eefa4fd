"""Outcomes of tests: for the fixtures that clean up after a test, and for the end of a run.

pytest-rerunfailures shows the traceback of the last attempt only; here those of the first ones are
shown as well, and appended to the file ``BATCHSPAWNER_FIRST_FAILURES``, for the end of `make test`.
"""

from __future__ import annotations

import os

import pytest

FAILED = pytest.StashKey[bool]()
"""Whether the set-up or the body of a test did not succeed."""

SHOWN_LINES = 60
"""Lines of a captured log that are shown: its end."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    item.stash[FAILED] = True  # a test that is interrupted has no report
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash[FAILED] = report.failed or (call.when == "teardown" and item.stash[FAILED])
    return report


@pytest.fixture
def has_failed(request):
    """A function that tells a fixture which cleans up whether its test has failed."""
    return lambda: request.node.stash[FAILED]


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
