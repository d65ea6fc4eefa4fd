"""CPython's own tests of executors, run against ours by the Pythons that come with them."""

from __future__ import annotations

import unittest

import pytest

from batchspawner.functions import Executor

pytest.importorskip("test.test_concurrent_futures.util", reason="needs CPython's tests, 3.12 on")

from test.test_concurrent_futures import executor, test_as_completed, test_shutdown, test_wait
from test.test_concurrent_futures.util import ExecutorMixin


def made(max_workers):
    return Executor("processes", workers=max_workers)


class Mixin(ExecutorMixin):
    executor_type = staticmethod(made)


class TestExecutor(executor.ExecutorTest, Mixin, unittest.TestCase):
    # Ours is called `workers`.
    test_max_workers_negative = None


class TestAsCompleted(test_as_completed.AsCompletedTests, Mixin, unittest.TestCase):
    pass


class TestWait(test_wait.WaitTests, Mixin, unittest.TestCase):
    pass


class TestShutdown(test_shutdown.ExecutorShutdownTest, Mixin, unittest.TestCase):
    # These import the executor from the standard library; test_shutdown.py has the like of them.
    test_interpreter_shutdown = None
    test_submit_after_interpreter_shutdown = None
    test_hang_gh83386 = None
    # It wants a call to have begun at once, before any worker can have come.
    test_cancel_futures = None
