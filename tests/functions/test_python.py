"""Jobs with another Python, and the error that says so."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import batchspawner.functions as slurminade
from batchspawner.functions import Executor, PythonMismatch
from batchspawner.functions.protocol import results
from tests.functions import tasks
from tests.functions.tasks import SECONDS

TOLD = (
    rf"the job runs Python {sys.version_info[0]}\.{sys.version_info[1]}\.\d+ and this program "
    r"Python 3\.0\.1: pickled functions and arguments do not survive that\. Start the job with "
    r"the same Python"
)


@pytest.fixture
def older(monkeypatch):
    """This program pretends to be a Python that no job has."""
    pretended = SimpleNamespace(version_info=(3, 0, 1), modules=sys.modules)
    monkeypatch.setattr(results, "sys", pretended)


@pytest.fixture
def queued(queue):
    slurminade.set_dispatcher(None)
    yield
    slurminade.set_dispatcher(None)


def test_a_worker_of_another_python_is_given_nothing_that_is_pickled(older):
    with Executor("processes", workers=1) as executor:
        assert executor.submit(pow, 2, 3).result(SECONDS) == 8
        with pytest.raises(PythonMismatch, match=TOLD):
            executor.submit(lambda: 4).result(SECONDS)


def test_a_call_that_fails_in_another_python_blames_that_where_it_was_pickled(older, queued):
    @slurminade.slurmify
    def divide(number):
        return 1 / number

    with pytest.raises(PythonMismatch, match=TOLD) as raised:
        divide.distribute(0).result(SECONDS)
    assert type(raised.value.__cause__) is ZeroDivisionError


def test_a_call_that_was_not_pickled_fails_as_it_does(older, queued):
    with pytest.raises(ValueError, match="no luck"):
        slurminade.slurmify(tasks.fail).distribute("no luck").result(SECONDS)
