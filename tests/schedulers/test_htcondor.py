from __future__ import annotations

import json

import pytest

from batchspawner.client.job_scripts import job_request
from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState
from batchspawner.runners import ask
from batchspawner.schedulers.htcondor.scheduler import HTCondor
from tests.hubs import wait_for
from tests.recorded import answer, recorded

condor = HTCondor()
REQUEST = JobRequest("queue\n", "tag-1")


def listing(*ads):
    (call,) = condor.query(["7"])
    return call.parse(
        CommandResult(call.argv, 0, json.dumps([{"ClusterId": 7, **ad} for ad in ads]))
    )


def test_a_submit_returns_the_cluster():
    assert answer(condor.submit(REQUEST), "htcondor", "submit") == "1"


def test_a_refused_submit_says_why():
    with pytest.raises(SubmitError, match="ERROR"):
        answer(condor.submit(REQUEST), "htcondor", "submit_refused")


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable, match="Can't find address"):
        answer(condor.submit(JobRequest("")), "htcondor", "submit_down")


def test_one_query_tells_the_state_of_every_kind_of_job():
    (call,) = condor.query(["1", "1.0", "2", "4", "5", "6"])
    ads = json.loads(recorded("htcondor", "condor_q").stdout)
    start = next(ad["JobCurrentStartDate"] for ad in ads if ad["ClusterId"] == 1)
    over = "The job exceeded allowed job duration of 00:02"
    running = {"native": "running", "host": "node1", "start": float(start)}
    reason = "submitted on hold at user's request"
    assert answer(call, "htcondor", "condor_q") == {
        "1": JobInfo("1", JobState.RUNNING, **running),
        "1.0": JobInfo("1.0", JobState.RUNNING, **running),
        "4": JobInfo("4", JobState.HELD, "held", reason),
        "5": JobInfo("5", JobState.TIMEOUT, "held", over, "node1", start=float(start)),
        "6": JobInfo("6", JobState.PENDING, "idle"),
    }


def test_an_empty_queue_is_an_answer():
    (call,) = condor.query(["1"])
    assert answer(call, "htcondor", "condor_q_empty") == {}


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = condor.query(["1"])
    with pytest.raises(SchedulerUnavailable, match="Can't find address for schedd"):
        answer(call, "htcondor", "condor_q_down")


@pytest.mark.parametrize("cut", [10, 200])
def test_a_query_cut_off_in_the_middle_is_not_read(cut):
    (call,) = condor.query(["1"])
    whole = recorded("htcondor", "condor_q")
    with pytest.raises(ParseError, match="no job ads"):
        call.parse(CommandResult(whole.argv, 0, whole.stdout[:cut]))


@pytest.mark.parametrize(
    ("name", "job_id", "state", "code", "signal", "reason"),
    [
        ("failing", "2", JobState.FAILED, 3, None, ""),
        ("killed", "3", JobState.FAILED, None, 9, ""),
        ("expired", "5", JobState.TIMEOUT, None, 15, "via condor_rm (by user alice)"),
        ("removed", "3", JobState.CANCELLED, None, 15, "via condor_rm (by user alice)"),
    ],
)
def test_the_history_tells_how_a_job_ended(name, job_id, state, code, signal, reason):
    status = answer(condor.confirm(job_id)[0], "htcondor", f"history_{name}")
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)
    assert (status.reason, status.host) == (reason, "node1")
    assert status.start <= status.end


def test_the_history_does_not_know_every_job():
    assert answer(condor.confirm("99999")[0], "htcondor", "history_unknown") is None


def test_a_job_is_found_by_its_tag():
    assert answer(condor.find("tag-1"), "htcondor", "find") == ["1", "4", "5", "6"]


@pytest.mark.parametrize(
    ("job_id", "name"), [("3", "condor_rm"), ("5", "condor_rm_held"), ("2", "condor_rm_ended")]
)
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(condor.cancel(job_id), "htcondor", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(condor.cancel("1"), "htcondor", "condor_rm_down")


def test_there_is_no_command_for_signals():
    with pytest.raises(SchedulerError, match="cannot send signal 15 to job 1"):
        condor.signal("1", 15)


@pytest.mark.parametrize("job_id", ["", "-all", "1 2", "1.", "alice", '1" || true'])
def test_nothing_but_a_job_id_reaches_a_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of HTCondor"):
        condor.cancel(job_id)


@pytest.mark.parametrize("number", [8, -1, None, "2", 2.5])
def test_a_state_of_a_future_release_is_unknown_and_not_an_end(number):
    status = listing({"JobStatus": number})["7"]
    assert (status.state, status.is_final) == (JobState.UNKNOWN, False)


@pytest.mark.parametrize(
    ("remote", "host"),
    [("slot1@n1", "n1"), ("slot1_1@n1.example.org", "n1.example.org"), ("n1", "n1"), ("", "")],
)
def test_the_host_is_found_behind_its_slot(remote, host):
    assert listing({"JobStatus": 2, "RemoteHost": remote})["7"].host == host


def test_a_cluster_lives_as_long_as_one_of_its_jobs():
    jobs = [
        {"ProcId": 0, "JobStatus": 4},
        {"ProcId": 1, "JobStatus": 2},
        {"ProcId": 2, "JobStatus": 4},
    ]
    assert listing(*jobs)["7"].state is JobState.RUNNING


def test_a_hold_reason_stays_on_one_line():
    status = listing({"JobStatus": 5, "HoldReason": "Failed to\n  execute 'x'"})["7"]
    assert status.reason == "Failed to execute 'x'"


@pytest.mark.parametrize("site", ["htcondor"], indirect=True)
@pytest.mark.parametrize("code", [34, 46, 47])
async def test_a_job_that_is_held_because_it_has_used_up_what_it_may_leaves_the_queue(
    site, monkeypatch, code
):
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    client = site.client()
    request = job_request(
        client.scheduler,
        "sleep 300",
        front_end="functions",
        name="held",
        log="/dev/null",
        variables={"homedir": "/tmp"},
    )
    job_id = await client.submit(request)
    site.cluster.run("condor_hold", job_id)
    site.cluster.run("condor_qedit", job_id, "HoldReasonCode", str(code))
    wait_for(lambda: job_id not in [one for one, _, _ in site.jobs()], 60, "the end of the job")
    (call,) = client.scheduler.confirm(job_id)
    end = await ask(client.scheduler, call, client.query_runner)
    assert end.state is (JobState.OUT_OF_MEMORY if code == 34 else JobState.TIMEOUT)
