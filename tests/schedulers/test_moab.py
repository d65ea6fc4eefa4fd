"""Moab's words are constructed from its manual: nothing of it could be recorded."""

from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState, TaggedJob
from batchspawner.schedulers.moab.scheduler import Moab
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
    (call,) = moab.query(["12", "13", "14", "15", "16", "99"])
    common = {"queue": "batch", "name": "jupyterhub-singleuser"}
    times = {"start": START, "end": START + 3600}
    policy = "IdlePolicy:job 13 violates idle HARD MAXIPROC limit of 8 for user alice"
    assert answer(call, "moab", "mdiag") == {
        "12": JobInfo(
            "12", JobState.RUNNING, "Running", host="node1.example.org", **times, **common
        ),
        "13": JobInfo("13", JobState.PENDING, "Idle", policy, **common),
        "14": JobInfo("14", JobState.HELD, "UserHold", **common),
        "15": JobInfo("15", JobState.HELD, "Idle", "Batch hold", **common),
        "16": JobInfo("16", JobState.SUSPENDED, "Suspended", host="node2", **times, **common),
    }


@pytest.mark.parametrize("job_id", ["12", "12.headnode", "12.headnode.example.org", "Moab.12"])
def test_a_job_is_known_by_its_name_before_and_after_a_resource_manager_took_it(job_id):
    (call,) = moab.query([job_id, "Moab.18", "Moab.99", "Moab.1"])
    found = answer(call, "moab", "mdiag")
    assert {name: status.state for name, status in found.items()} == {
        job_id: JobState.RUNNING,
        "Moab.18": JobState.PENDING,
    }


@pytest.mark.parametrize("order", [1, -1])
def test_two_resource_managers_have_jobs_of_the_same_number(order):
    jobs = {"Moab.1": "12.head1", "Moab.2": "12.head2", "Moab.3": "13.head1"}
    (call,) = moab.query(["12", "12.head1.example.org", "12.head2", "13", "Moab.2"])
    listed = [
        f'<job JobID="{own}" DRMJID="{other}" JobName="{other}" State="Running"/>'
        for own, other in list(jobs.items())[::order]
    ]
    found = call.parse(CommandResult(call.argv, 0, f"<Data>{''.join(listed)}</Data>"))
    assert {job_id: status.name for job_id, status in found.items()} == {
        "12.head1.example.org": "12.head1",
        "12.head2": "12.head2",
        "13": "13.head1",
        "Moab.2": "12.head2",
    }


def test_moabs_own_ids_rule_over_those_of_resource_managers():
    (call,) = moab.query(["12"])
    text = (
        '<Data><job JobID="7" DRMJID="12.other" State="Idle"/>'
        '<job JobID="12" DRMJID="8.other" State="Running"/></Data>'
    )
    assert call.parse(CommandResult(call.argv, 0, text))["12"].native == "Running"


def test_the_host_may_be_the_jobs_own_attribute():
    (call,) = moab.query(["12"])
    for attribute in ('AllocNodeList="n1:4,n2"', 'MasterHost="n1"'):
        text = f'<Data><job JobID="12" State="Running" {attribute}><req/></job></Data>'
        assert call.parse(CommandResult(call.argv, 0, text))["12"].host == "n1"


def test_a_state_that_nobody_knows_is_no_end_and_a_name_forges_none():
    (call,) = moab.query(["17", "99"])
    found = answer(call, "moab", "mdiag")
    assert list(found) == ["17"]
    assert (found["17"].state, found["17"].native) == (JobState.UNKNOWN, "Reticulating")
    assert found["17"].name == 'x" State="Running" JobID="99'


def test_an_empty_list_is_an_answer():
    (call,) = moab.query(["12"])
    assert answer(call, "moab", "mdiag_empty") == {}


@pytest.mark.parametrize(
    ("name", "said"), [("down", "cannot connect"), ("timeout", "timed out after 30 seconds")]
)
def test_a_failed_query_says_nothing_about_the_job(name, said):
    (call,) = moab.query(["12"])
    with pytest.raises(SchedulerUnavailable, match=said):
        answer(call, "moab", f"mdiag_{name}")


def test_no_output_is_no_list():
    (call,) = moab.query(["12"])
    with pytest.raises(ParseError, match="no XML"):
        call.parse(CommandResult(call.argv, 0, ""))


def test_a_query_cut_off_in_the_middle_is_not_read():
    (call,) = moab.query(["12"])
    whole = recorded("moab", "mdiag")
    with pytest.raises(ParseError, match="no XML"):
        call.parse(CommandResult(whole.argv, 0, whole.stdout[:300]))


@pytest.mark.parametrize(
    ("name", "state", "code", "signal"),
    [
        ("completed", JobState.COMPLETED, 0, None),
        ("failed", JobState.FAILED, 3, None),
        ("deleted", JobState.CANCELLED, None, 15),
        ("cancelled", JobState.CANCELLED, None, None),
        ("removed", JobState.CANCELLED, None, None),
        ("walltime", JobState.TIMEOUT, None, None),
        ("vacated", JobState.NODE_FAIL, None, None),
    ],
)
def test_how_a_job_ended_is_confirmed(name, state, code, signal):
    (call,) = moab.confirm("12")
    status = answer(call, "moab", f"ended_{name}")
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)
    assert (status.start, status.end) == (START, START + 100)


@pytest.mark.parametrize(
    ("job_id", "name"), [("99", "checkjob_unknown"), ("12", "checkjob_not_ours")]
)
def test_a_source_without_an_answer_leaves_it_to_the_next(job_id, name):
    (call,) = moab.confirm(job_id)
    assert answer(call, "moab", name) is None


def test_a_source_that_is_down_says_nothing():
    (call,) = moab.confirm("12")
    with pytest.raises(SchedulerUnavailable, match="cannot connect"):
        answer(call, "moab", "checkjob_down")


def test_a_job_is_found_by_its_name():
    listing = CommandResult(
        ("mdiag", "-j", "--xml"),
        0,
        '<Data><job JobID="13" JobName="tag-1" State="Idle"/>'
        '<job JobID="14" JobName="tag-1" State="Completed"/></Data>',
    )
    assert moab.find("tag-1").parse(listing) == ["13"]
    assert moab.find("tag-2").parse(listing) == []


def test_a_name_that_two_jobs_have_finds_neither():
    jobs = "".join(f'<job JobID="{number}" JobName="tag-1" State="Idle"/>' for number in (7, 8))
    call = moab.find("tag-1")
    with pytest.raises(SchedulerError, match="more than one job is called tag-1: 7, 8"):
        call.parse(CommandResult(call.argv, 0, f"<Data>{jobs}</Data>"))


def test_everybodys_jobs_are_listed_with_their_names():
    jobs = answer(moab.tagged(), "moab", "mdiag")
    assert jobs[0] == TaggedJob("12", "alice", "jupyterhub-singleuser")
    assert [job.owner for job in jobs] == [*["alice"] * 4, "bob", "alice", "alice"]


@pytest.mark.parametrize(("job_id", "name"), [("12", "mjobctl"), ("99", "mjobctl_unknown")])
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(moab.cancel(job_id), "moab", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(moab.cancel("12"), "moab", "mjobctl_down")


def test_a_cancel_that_could_not_run_is_an_error():
    call = moab.cancel("12")
    with pytest.raises(SchedulerError, match="mjobctl failed"):
        call.parse(CommandResult(call.argv, 1, "", "sudo: mjobctl: command not found\n"))


def test_a_signal_names_its_number():
    assert moab.signal("12", 10).argv == ("mjobctl", "-N", "10", "12")


@pytest.mark.parametrize(
    "job_id", ["", "ALL", "12[3]", "12,13", "12.*", "12 -c ALL", "-c", "../1", "12\n13"]
)
def test_what_is_no_id_reaches_no_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of Moab"):
        moab.cancel(job_id)
