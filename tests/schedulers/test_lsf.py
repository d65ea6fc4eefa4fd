from __future__ import annotations

import json
import time

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState, TaggedJob
from batchspawner.schedulers.lsf.scheduler import LSF
from batchspawner.schedulers.lsf.states import first_host
from tests.recorded import answer, recorded

lsf = LSF()


def clock(text: str) -> tuple[int, ...]:
    """Return month, day, hour and minute: LSF does not say the year."""
    return time.strptime(f"2024 {text}", "%Y %b %d %H:%M")[1:5]


def local(moment: float) -> tuple[int, ...]:
    return time.localtime(moment)[1:5]


def listed(*records: dict) -> dict[str, JobInfo]:
    (call,) = lsf.query(["7", "7[1]", "8"])
    text = json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": list(records)})
    return call.parse(CommandResult(call.argv, 0, text))


def ended(name: str, job_id: str) -> JobInfo:
    (call,) = lsf.confirm(job_id)
    return answer(call, "lsf", name)


def test_a_submit_returns_the_id():
    assert answer(lsf.submit(JobRequest("")), "lsf", "bsub") == "203"


@pytest.mark.parametrize(
    "text",
    [
        "Job <12> is submitted to default queue <normal>.\n",
        "Welcome <1>!\nJob <12> is submitted to queue <x>.\n",
    ],
)
def test_the_id_is_found_among_other_lines(text):
    call = lsf.submit(JobRequest(""))
    assert call.parse(CommandResult(call.argv, 0, text)) == "12"


def test_the_tag_is_the_name_and_nothing_waits_for_ever():
    call = lsf.submit(JobRequest("", "tag-1", {"X": "1"}))
    assert call.argv == ("bsub", "-J", "tag-1")
    assert call.environment == {"X": "1", "LSB_NTRIES": "1"}
    calls = [*lsf.query(["1"]), *lsf.confirm("1"), lsf.find("x"), lsf.cancel("1"), lsf.tagged()]
    assert {one.environment["LSB_NTRIES"] for one in calls} == {"1"}


def test_a_refused_submit_says_why():
    request = JobRequest("", "", {}, ("-q", "nosuchq"))
    with pytest.raises(SubmitError, match="No such queue"):
        answer(lsf.submit(request), "lsf", "bsub_refused")


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable, match="Connection refused"):
        answer(lsf.submit(JobRequest("")), "lsf", "bsub_down")


def test_one_query_tells_the_state_of_every_kind_of_job():
    (call,) = lsf.query(["101", "102", "103", "104", "105", "106", "106[1]", "107", "999"])
    found = answer(call, "lsf", "bjobs")
    assert {job_id: (one.state, one.host, one.reason) for job_id, one in found.items()} == {
        "101": (JobState.RUNNING, "node1.example.org", ""),
        "102": (JobState.PENDING, "", "Job slot limit reached;"),
        "103": (JobState.HELD, "", "The job was suspended by the user while pending;"),
        "104": (JobState.SUSPENDED, "node2", ""),
        "105": (JobState.UNKNOWN, "node2", ""),
        "106": (JobState.RUNNING, "node1", ""),
        "106[1]": (JobState.COMPLETED, "node2", ""),
        "107": (JobState.RUNNING, "node1", ""),
    }
    running = found["101"]
    assert (local(running.start), local(running.end)) == (
        clock("Nov 20 21:14"),
        clock("Nov 21 05:14"),
    )


def test_a_name_forges_no_other_job():
    (call,) = lsf.query(["107"])
    assert answer(call, "lsf", "bjobs")["107"].name == 'x", "JOBID": "102'


def test_the_plain_list_of_older_releases_is_read_too():
    (call,) = lsf.query(["203", "335", "333", "208", "655"])
    found = answer(call, "lsf", "bjobs_plain")
    assert {job_id: (one.state, one.host, one.name) for job_id, one in found.items()} == {
        "203": (JobState.RUNNING, "headnode", "jhub"),
        "335": (JobState.PENDING, "", "noroom"),
        "333": (JobState.RUNNING, "headnode", "two"),
        "208": (
            JobState.COMPLETED,
            "headnode",
            "jupyterhub-alice-server-name-with-a-long-tail",
        ),
        "655": (JobState.UNKNOWN, "headnode", "unk"),
    }


def test_elements_of_an_array_have_a_state_each():
    (call,) = lsf.query(["342", "342[2]", "342[3]", "342[9]"])
    found = answer(call, "lsf", "bjobs_array")
    assert {job_id: one.state for job_id, one in found.items()} == {
        "342": JobState.RUNNING,
        "342[2]": JobState.RUNNING,
        "342[3]": JobState.PENDING,
    }


def test_a_state_that_nobody_knows_is_no_end():
    status = listed({"JOBID": "7", "STAT": "DREAM"})["7"]
    assert (status.state, status.native) == (JobState.UNKNOWN, "DREAM")


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        ("node1", "node1"),
        ("4*node1", "node1"),
        ("2*node1.a.org:node2", "node1.a.org"),
        ("node1:node1", "node1"),
        ("-", ""),
        ("", ""),
    ],
)
def test_the_first_host_runs_the_script(hosts, host):
    assert first_host(hosts) == host


def test_no_jobs_at_all_is_an_answer():
    (call,) = lsf.query(["203"])
    assert answer(call, "lsf", "bjobs_none") == {}


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = lsf.query(["203"])
    with pytest.raises(SchedulerUnavailable, match="Connection refused"):
        answer(call, "lsf", "bjobs_down")


@pytest.mark.parametrize("text", ["nonsense\n", '{"RECORDS": [', '{"JOBS": 1}'])
def test_an_answer_of_another_form_is_not_read(text):
    (call,) = lsf.query(["203"])
    with pytest.raises(ParseError):
        call.parse(CommandResult(call.argv, 0, text))


@pytest.mark.parametrize(
    ("name", "job_id", "state", "code", "signal"),
    [
        ("ibm_done", "101", JobState.COMPLETED, 0, None),
        ("ibm_exit3", "101", JobState.FAILED, 3, None),
        ("ibm_runlimit", "101", JobState.TIMEOUT, None, 12),
        ("ibm_memlimit", "101", JobState.OUT_OF_MEMORY, None, 9),
        ("ibm_owner", "101", JobState.CANCELLED, None, 2),
        ("one_done", "204", JobState.COMPLETED, 0, None),
        ("one_exit3", "205", JobState.FAILED, 3, None),
        ("one_killed", "203", JobState.CANCELLED, None, 2),
        ("one_runlimit", "332", JobState.TIMEOUT, None, 12),
        ("one_sig9", "336", JobState.FAILED, None, 9),
    ],
)
def test_how_a_job_ended_is_confirmed(name, job_id, state, code, signal):
    status = ended(name, job_id)
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)
    assert status.start


def test_a_job_killed_while_it_waited_was_cancelled():
    name = "one_killed_waiting"
    job_id = recorded("lsf", name).argv[-1]
    assert ended(name, job_id).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("name", "job_id", "state", "host", "reason"),
    [
        ("one_running", "203", JobState.RUNNING, "headnode", ""),
        ("one_suspended", "203", JobState.SUSPENDED, "headnode", ""),
        ("one_noroom", "335", JobState.PENDING, "", "Job slot limit reached: 1 host"),
        (
            "one_held",
            "209",
            JobState.HELD,
            "",
            "The job was suspended by the user while pending: 1 host",
        ),
    ],
)
def test_a_job_that_lives_is_read_from_the_long_form(name, job_id, state, host, reason):
    status = ended(name, job_id)
    assert (status.state, status.host, status.reason) == (state, host, reason)


def test_a_job_that_lsf_does_not_know_is_unknown():
    assert ended("one_unknown", "999999") is None


def test_a_job_is_found_by_its_name():
    assert answer(lsf.find("tag-1"), "lsf", "ibm_find") == ["203"]
    assert answer(lsf.find("tag-1"), "lsf", "find_none") == []


def test_everybodys_jobs_are_listed_with_owner_and_name():
    jobs = answer(lsf.tagged(), "lsf", "bjobs")
    assert jobs[0] == TaggedJob("101", "alice", "jupyterhub")
    assert {job.owner for job in jobs} == {"alice", "bob"}


@pytest.mark.parametrize(
    ("job_id", "name"), [("203", "bkill"), ("203", "bkill_ended"), ("999999", "bkill_unknown")]
)
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(lsf.cancel(job_id), "lsf", name) is None


@pytest.mark.parametrize(("job_id", "name"), [("655", "bkill_in_progress"), ("457", "bkill_array")])
def test_a_cancel_that_lsf_has_begun_is_no_error(job_id, name):
    assert answer(lsf.cancel(job_id), "lsf", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(lsf.cancel("346"), "lsf", "bkill_down")


def test_a_signal_names_its_number():
    assert lsf.signal("12", 10).argv == ("bkill", "-s", "10", "12")


@pytest.mark.parametrize("job_id", ["", "0 ", "12 13", "-u", "12[", "12[1-3]", "12\n13"])
def test_what_is_no_id_reaches_no_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of LSF"):
        lsf.cancel(job_id)
