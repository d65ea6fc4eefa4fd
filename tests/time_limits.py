"""A time limit for each phase of each test, so that a hang is a failure with a traceback.

pytest-timeout limits a test once, also where pytest-rerunfailures repeats it, and stops its timer
at the first failure. Here the set-up, the test and the tear-down have the limit each, every time.
"""

from __future__ import annotations

import contextlib

import pytest
import pytest_timeout

UNIT_LIMIT_S = 300
JOBS_LIMIT_S = 600
WHOLE_LIMIT_S = 1200
"""Whole systems: Hubs, clusters, browsers and real schedulers."""


def limit_of(item) -> float:
    """Return the seconds that each phase of a test may take."""
    own = item.get_closest_marker("timeout")
    if own:
        return own.args[0]
    if item.get_closest_marker("unit"):
        return UNIT_LIMIT_S
    return JOBS_LIMIT_S if item.get_closest_marker("jobs") else WHOLE_LIMIT_S


@contextlib.contextmanager
def _limited(item):
    hook = item.config.pluginmanager.hook
    hook.pytest_timeout_cancel_timer(item=item)
    debugging = item.config.option.usepdb or item.config.option.trace
    if debugging:
        yield
        return
    settings = pytest_timeout.Settings(limit_of(item), "signal", False, False)
    hook.pytest_timeout_set_timer(item=item, settings=settings)
    try:
        yield
    finally:
        hook.pytest_timeout_cancel_timer(item=item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    with _limited(item):
        return (yield)
