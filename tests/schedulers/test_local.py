from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState
from batchspawner.queues import Queue
from batchspawner.schedulers.local.scheduler import LocalQueue
from tests.recorded import answer

queue = LocalQueue()
HOLD = "#!/bin/sh\nsleep 60\n"
FAILED = JobInfo(
    "1",
    JobState.FAILED,
    "FAILED",
    host="127.0.0.1",
    name="job",
    comment="tag-1",
    start=1795218180,
    end=1795218180,
    exit_code=3,
)


def test_a_submit_returns_the_id():
    request = JobRequest(HOLD, "tag-2", {}, ("--name=x", "--walltime=10"))
    assert answer(queue.submit(request), "local", "submit") == "2"


def test_a_refused_submit_says_why():
    with pytest.raises(SubmitError, match="asks for 9 slots"):
        answer(queue.submit(JobRequest("", "tag-4")), "local", "submit_refused")


def test_the_machine_is_one_queue_without_a_name():
    assert answer(queue.availability(), "local", "info") == [
        Queue("", True, cores=1, gpus=0, free_cores=0, all_cores=1)
    ]


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (CommandResult((), 1, "", "broken"), SchedulerUnavailable),
        (CommandResult((), 0, "hello"), ParseError),
        (CommandResult((), 0, "{}"), ParseError),
    ],
)
def test_a_queue_without_the_number_of_its_slots_is_an_error(result, error):
    with pytest.raises(error):
        queue.availability().parse(result)


def test_one_query_tells_the_state_of_the_jobs_that_are_wanted():
    (call,) = queue.query(["1", "2", "3", "99"])
    assert answer(call, "local", "query") == {
        "1": FAILED,
        "2": JobInfo(
            "2",
            JobState.RUNNING,
            "RUNNING",
            host="127.0.0.1",
            name="x",
            comment="tag-2",
            start=1795218180,
            end=1795218780,
        ),
        "3": JobInfo(
            "3",
            JobState.PENDING,
            "PENDING",
            "needs 1 of the slots, 0 free",
            name="job",
            comment="tag-3",
        ),
    }


def test_an_end_is_confirmed_or_not_known():
    assert answer(queue.confirm("1")[0], "local", "confirm") == FAILED
    assert answer(queue.confirm("99")[0], "local", "confirm_unknown") is None


def test_a_job_is_found_by_its_tag():
    assert answer(queue.find("tag-2"), "local", "find") == ["2"]


@pytest.mark.parametrize(("job_id", "name"), [("3", "cancel"), ("1", "cancel_ended")])
def test_a_cancel_of_what_has_ended_is_no_error(job_id, name):
    assert answer(queue.cancel(job_id), "local", name) is None


def test_a_signal_to_a_waiting_job_is_an_error():
    with pytest.raises(SchedulerError, match="job 3 does not run"):
        answer(queue.signal("3", 15), "local", "signal_waiting")


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = queue.query(["1"])
    with pytest.raises(SchedulerUnavailable, match="chmod 700"):
        answer(call, "local", "query_refused")


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": [{}]}', "<html>"])
def test_an_answer_in_another_form_is_not_read(text):
    (call,) = queue.query(["1"])
    with pytest.raises(ParseError, match="printed no listing"):
        call.parse(CommandResult(call.argv, 0, text))


def test_an_unknown_state_is_no_end():
    (call,) = queue.query(["1"])
    job = {"id": "1", "state": "DREAMING", "reason": "", "host": "", "name": "", "comment": ""}
    times = dict.fromkeys(("started", "ended", "deadline", "exit_code", "signal"))
    import json

    found = call.parse(CommandResult(call.argv, 0, json.dumps({"jobs": [{**job, **times}]})))
    assert found == {"1": JobInfo("1", JobState.UNKNOWN, "DREAMING")}
