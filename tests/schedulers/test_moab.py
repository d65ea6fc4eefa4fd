"""Moab's words are constructed from its manual: nothing of it could be recorded."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobRequest, JobState, JobStatus, TaggedJob
from batchspawner.schedulers.moab import STATES, Moab
from tests.recorded import answer, recorded

moab = Moab()
REQUEST = JobRequest("#!/bin/sh\n", "tag-1")
START = 1795209100.0


@pytest.mark.parametrize(("name", "job_id"), [("msub", "12"), ("msub_grid", "Moab.12")])
def test_a_submit_returns_the_id(name, job_id):
    assert answer(moab.submit(REQUEST), "moab", name) == job_id


def test_a_refused_submit_says_why():
    with pytest.raises(SubmitError, match="class 'nosuch' does not exist"):
        answer(moab.submit(REQUEST), "moab", "msub_refused")


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable, match="cannot connect"):
        answer(moab.submit(REQUEST), "moab", "msub_down")


def test_one_query_tells_the_state_of_every_kind_of_job():
    (call,) = moab.query(["12", "12.headnode", "13", "14", "15", "99"])
    common = {"queue": "batch", "name": "jupyterhub-singleuser"}
    running = {"host": "node1.example.org", "start": START, "end": START + 3600, **common}
    suspended = {"host": "node2", "start": START, "end": START + 3600, **common}
    assert answer(call, "moab", "mdiag") == {
        "12": JobStatus("12", JobState.RUNNING, "Running", **running),
        "12.headnode": JobStatus("12.headnode", JobState.RUNNING, "Running", **running),
        "13": JobStatus("13", JobState.PENDING, "Idle", "insufficient resources", **common),
        "14": JobStatus("14", JobState.HELD, "UserHold", **common),
        "15": JobStatus("15", JobState.SUSPENDED, "Suspended", **suspended),
    }


def test_a_state_that_nobody_knows_is_no_end_and_a_name_forges_none():
    (call,) = moab.query(["16"])
    status = answer(call, "moab", "mdiag")["16"]
    assert (status.state, status.native) == (JobState.UNKNOWN, "Reticulating")
    assert status.name == 'x" State="Running'


def test_every_state_of_the_manual_is_known():
    assert {"idle", "running", "completed", "removed", "deferred", "vacated"} <= set(STATES)


def test_an_empty_list_is_an_answer():
    (call,) = moab.query(["12"])
    assert answer(call, "moab", "mdiag_empty") == {}


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = moab.query(["12"])
    with pytest.raises(SchedulerUnavailable, match="cannot connect"):
        answer(call, "moab", "mdiag_down")


def test_a_query_cut_off_in_the_middle_is_not_read():
    (call,) = moab.query(["12"])
    whole = recorded("moab", "mdiag")
    with pytest.raises(ParseError, match="no XML"):
        call.parse(CommandResult(whole.argv, 0, whole.stdout[:300]))


@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("completed", JobState.COMPLETED, 0),
        ("failed", JobState.FAILED, 3),
        ("removed", JobState.CANCELLED, None),
    ],
)
def test_how_a_job_ended_is_confirmed(name, state, code):
    (call,) = moab.confirm("12")
    status = answer(call, "moab", name)
    assert (status.state, status.exit_code, status.end) == (state, code, START + 100)


def test_a_job_that_moab_does_not_know_is_said_to_be_unknown():
    (call,) = moab.confirm("99")
    assert answer(call, "moab", "unknown") is None


def test_a_job_is_found_by_its_name():
    (call,) = moab.query(["13"])
    listing = recorded("moab", "mdiag")
    text = listing.stdout.replace('JobID="13" JobName="jupyterhub-singleuser"',
                                  'JobID="13" JobName="tag-1"')  # fmt: skip
    result = CommandResult(call.argv, 0, text)
    assert moab.find("tag-1").parse(result) == ["13"]
    assert moab.find("tag-2").parse(result) == []


def test_everybodys_jobs_are_listed_with_their_names():
    jobs = answer(moab.tagged(), "moab", "mdiag")
    assert jobs[0] == TaggedJob("12", "alice", "jupyterhub-singleuser")
    assert [job.owner for job in jobs] == ["alice", "alice", "alice", "bob", "alice"]


@pytest.mark.parametrize(("job_id", "name"), [("12", "mjobctl"), ("99", "mjobctl_unknown")])
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(moab.cancel(job_id), "moab", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(moab.cancel("12"), "moab", "mjobctl_down")


def test_a_signal_names_its_number():
    assert moab.signal("12", 10).argv == ("mjobctl", "-N", "10", "12")


@pytest.mark.parametrize("job_id", ["", "12 -c ALL", "-c", "../1", "12\n13"])
def test_what_is_no_id_reaches_no_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of Moab"):
        moab.cancel(job_id)
