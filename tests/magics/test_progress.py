"""What the progress line says of a cell that waits, runs or has ended."""

from __future__ import annotations

import time

import pytest

from batchspawner.jobs import JobInfo, JobState
from batchspawner.magics.progress import marks, progress_line
from batchspawner.magics.record import CellRecord


def told(*states: JobState) -> CellRecord:
    """Return the record of a cell whose scheduler has reported these states."""
    record = CellRecord()
    record.submitted("Submitted batch job 1")
    for state in states:
        record.update(JobInfo("1", state, reason="Priority"))
    return record


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED])
def test_a_job_that_ended_in_the_queue_never_ran(state):
    record = told(JobState.PENDING, JobState.UNKNOWN, state)
    assert progress_line(record, live=True) == "Waiting for resources ."


def test_a_job_that_waits_says_for_what():
    record = told(JobState.PENDING)
    assert progress_line(record, live=True) == "Waiting for resources . 0:00:00 (Priority)"
    assert progress_line(record, live=False) == "Waiting for resources ."


def test_the_line_of_a_job_that_has_ended_does_not_grow():
    record = told(JobState.RUNNING, JobState.COMPLETED)
    record.started = record.ended - 3
    assert progress_line(record, live=True) == "Running ..."
    record = told(JobState.CANCELLED)
    record.accepted = time.time() - 3600
    record.ended = record.accepted + 2
    assert progress_line(record, live=False) == "Waiting for resources .."


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "."),
        (3, "..."),
        (10, 10 * "."),
        (30, 10 * "." + "oo"),
        (110, 10 * "." + 10 * "o"),
        (171, 10 * "." + 10 * "o" + "O"),
        (1310, 10 * "." + 10 * "o" + 10 * "O" + "@"),
    ],
)
def test_the_marks_grow_coarser_with_time(seconds, shown):
    assert marks(seconds) == shown
