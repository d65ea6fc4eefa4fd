from __future__ import annotations

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobRequest, JobState
from batchspawner.schedulers.torque import STATES, Torque
from tests.recorded import answer, recorded

torque = Torque()
JOB = "<Job><Job_Id>{}</Job_Id><Job_Name>{}</Job_Name><job_state>{}</job_state>{}</Job>"


def listed(*jobs: str) -> CommandResult:
    return CommandResult(("qstat", "-x"), 0, f"<Data>{''.join(jobs)}</Data>")


def one(name: str, job_id: str):
    (call,) = torque.query([job_id])
    return answer(call, "torque", name)[job_id]


def test_a_submit_returns_the_id():
    assert answer(torque.submit(JobRequest("")), "torque", "qsub") == "403.headnode"


def test_the_tag_is_the_name():
    assert torque.submit(JobRequest("", "tag-1")).argv == ("qsub", "-N", "tag-1")


def test_a_refused_submit_says_why():
    request = JobRequest("", "", {}, ("-q", "nosuch"))
    with pytest.raises(SubmitError, match="Unknown queue"):
        answer(torque.submit(request), "torque", "qsub_unknown_queue")


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable, match="Connection refused"):
        answer(torque.submit(JobRequest("")), "torque", "qsub_down")


def test_a_running_job_has_a_host_a_queue_and_a_deadline():
    status = one("running", "403.headnode")
    assert (status.state, status.host, status.queue) == (JobState.RUNNING, "node1", "batch")
    assert status.end - status.start == 600


@pytest.mark.parametrize(
    ("name", "job_id", "state"),
    [
        ("waiting", "408.headnode", JobState.PENDING),
        ("held", "404.headnode", JobState.HELD),
        ("later", "407.headnode", JobState.PENDING),
    ],
)
def test_a_job_that_waits_has_no_host(name, job_id, state):
    status = one(name, job_id)
    assert (status.state, status.host, status.start) == (state, "", None)


def test_the_first_of_several_hosts_runs_the_script():
    assert one("two_hosts", "412.headnode").host == "node2"


def test_every_state_of_the_manual_is_known():
    assert set(STATES) == set("CEHQRSTW")


def test_a_state_that_nobody_knows_is_no_end():
    (call,) = torque.query(["7.headnode"])
    status = call.parse(listed(JOB.format("7.headnode", "x", "Z", "")))["7.headnode"]
    assert (status.state, status.native) == (JobState.UNKNOWN, "Z")


def test_an_id_without_its_server_is_the_same_job():
    (call,) = torque.query(["403", "4"])
    assert list(answer(call, "torque", "running")) == ["403"]


def test_a_name_forges_no_other_job():
    (call,) = torque.query(["7", "8"])
    name = "&lt;/Job_Name&gt;&lt;/Job&gt;&lt;Job&gt;&lt;Job_Id&gt;8&lt;/Job_Id&gt;"
    assert list(call.parse(listed(JOB.format("7.headnode", name, "R", "")))) == ["7"]


def test_an_empty_list_is_an_answer():
    (call,) = torque.query(["403.headnode"])
    assert answer(call, "torque", "empty") == {}


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = torque.query(["403.headnode"])
    with pytest.raises(SchedulerUnavailable, match="Unable to communicate"):
        answer(call, "torque", "down")


def test_a_query_cut_off_in_the_middle_is_not_read():
    (call,) = torque.query(["403.headnode"])
    whole = recorded("torque", "running")
    with pytest.raises(ParseError, match="no XML"):
        call.parse(CommandResult(whole.argv, 0, whole.stdout[:200]))


@pytest.mark.parametrize(
    ("name", "job_id", "state", "code", "signal"),
    [
        ("ended_exit0", "409.headnode", JobState.COMPLETED, 0, None),
        ("ended_exit3", "410.headnode", JobState.FAILED, 3, None),
        ("ended_walltime", "411.headnode", JobState.TIMEOUT, None, None),
        ("ended_deleted", "403.headnode", JobState.CANCELLED, None, 15),
        ("ended_deleted_waiting", "408.headnode", JobState.CANCELLED, None, None),
    ],
)
def test_a_completed_job_tells_how_it_ended(name, job_id, state, code, signal):
    (call,) = torque.confirm(job_id)
    status = answer(call, "torque", name)
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)


def test_a_job_that_the_server_has_forgotten_is_unknown():
    (call,) = torque.confirm("999999")
    assert answer(call, "torque", "unknown") is None


def test_a_job_that_is_hidden_from_us_is_not_said_to_have_ended():
    (call,) = torque.confirm("403.headnode")
    hidden = CommandResult(call.argv, 159, "", "qstat: Unauthorized Request  403.headnode\n")
    with pytest.raises(SchedulerUnavailable, match="Unauthorized Request"):
        call.parse(hidden)


def test_a_job_that_lives_is_found_by_its_name():
    jobs = (JOB.format("7.h", "tag-1", "R", ""), JOB.format("8.h", "tag-1", "C", ""))
    assert torque.find("tag-1").parse(listed(*jobs)) == ["7.h"]
    assert torque.find("tag-2").parse(listed(*jobs)) == []


def test_a_name_that_two_jobs_have_finds_neither():
    jobs = (JOB.format("7.h", "tag-1", "R", ""), JOB.format("8.h", "tag-1", "Q", ""))
    with pytest.raises(SchedulerError, match=r"more than one job is called tag-1: 7\.h, 8\.h"):
        torque.find("tag-1").parse(listed(*jobs))


def test_everybodys_jobs_are_listed_with_owner_and_name():
    (job,) = answer(torque.tagged(), "torque", "running")
    assert (job.job_id, job.owner, job.text) == ("403.headnode", "alice", "jup-alice")


@pytest.mark.parametrize(
    ("job_id", "name"),
    [("403.headnode", "qdel"), ("403.headnode", "qdel_ended"), ("999999", "qdel_unknown")],
)
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(torque.cancel(job_id), "torque", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(torque.cancel("478.headnode"), "torque", "qdel_down")


def test_a_signal_names_its_number():
    assert torque.signal("12", 10).argv == ("qsig", "-s", "10", "12")


@pytest.mark.parametrize("job_id", ["", "12 13", "-W", "../1", "12\n13"])
def test_what_is_no_id_reaches_no_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of Torque"):
        torque.cancel(job_id)
