from __future__ import annotations

import time

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState
from batchspawner.schedulers.gridengine.scheduler import GridEngine
from batchspawner.schedulers.gridengine.states import state_of
from tests.recorded import answer, recorded

engine = GridEngine()
QUIET = ("-o", "/dev/null", "-j", "y")


def request(*arguments, tag="tag-1"):
    return JobRequest("#!/bin/sh\n", tag, {}, arguments)


def local(text):
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


@pytest.mark.parametrize(
    ("name", "options", "job_id"), [("qsub", (), "1"), ("qsub_array", ("-t", "1-3"), "6")]
)
def test_a_submit_returns_the_id(name, options, job_id):
    assert answer(engine.submit(request(*QUIET, *options)), "gridengine", name) == job_id


def test_a_refused_submit_says_why():
    with pytest.raises(SubmitError, match="nowhere") as caught:
        answer(engine.submit(request(*QUIET, "-q", "nowhere")), "gridengine", "qsub_bad_queue")
    assert not caught.value.transient


def test_a_limit_on_jobs_is_worth_another_try():
    call = engine.submit(request())
    result = CommandResult(call.argv, 25, "", "Unable to run job: job rejected: only 2 jobs")
    with pytest.raises(SubmitError) as caught:
        call.parse(result)
    assert caught.value.transient


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable):
        answer(engine.submit(request(tag="")), "gridengine", "qsub_down")


def test_one_query_tells_the_state_of_every_kind_of_job():
    (call,) = engine.query(["1", "2", "3", "6", "6.2", "7", "9"])
    held = "on hold, or waiting for another job"
    error = "its start failed (Eqw); qstat -j tells why, qmod -cj tries again"
    named = {"queue": "all.q", "host": "node1", "name": "tag-1"}
    later = {**named, "start": local("2026-11-21T00:25:25")}
    assert answer(call, "gridengine", "qstat") == {
        "1": JobInfo("1", JobState.RUNNING, "r", **named, start=local("2026-11-21T00:25:24")),
        "2": JobInfo("2", JobState.HELD, "hqw", held, name="tag-1"),
        "6": JobInfo("6", JobState.RUNNING, "r", **later),
        "6.2": JobInfo("6.2", JobState.RUNNING, "r", **later),
        "7": JobInfo("7", JobState.HELD, "Eqw", error, name="tag-1"),
        "9": JobInfo("9", JobState.HELD, "hqw", held, name="tag-1"),
    }


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = engine.query(["1"])
    with pytest.raises(SchedulerUnavailable):
        answer(call, "gridengine", "qstat_down")


def test_a_query_cut_off_in_the_middle_is_not_read():
    (call,) = engine.query(["1"])
    whole = recorded("gridengine", "qstat")
    with pytest.raises(ParseError, match="no XML"):
        call.parse(CommandResult(whole.argv, 0, whole.stdout[:700]))


@pytest.mark.parametrize(
    ("name", "job_id", "state", "code", "signal", "reason"),
    [
        ("failing", "3", JobState.FAILED, 3, None, ""),
        ("killed", "4", JobState.CANCELLED, None, 9, "killed, by qdel or over a limit"),
        ("limited", "5", JobState.TIMEOUT, None, 9, "it reached its h_rt of 2 s"),
    ],
)
def test_the_accounting_tells_how_a_job_ended(name, job_id, state, code, signal, reason):
    status = answer(engine.confirm(job_id)[0], "gridengine", f"qacct_{name}")
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)
    assert (status.reason, status.host, status.queue) == (reason, "node1", "all.q")


def test_the_accounting_does_not_know_every_job():
    assert answer(engine.confirm("99999")[0], "gridengine", "qacct_unknown") is None


@pytest.mark.parametrize(
    "trouble", ["/opt/sge/accounting: No such file or directory", "error: unable to open /opt/sge"]
)
def test_an_accounting_that_has_not_begun_or_cannot_be_read_knows_no_job(trouble):
    call = engine.confirm("1")[0]
    said = f"{trouble}\nno jobs running since startup"
    assert call.parse(CommandResult(call.argv, 1, "", said)) is None


def test_an_accounting_that_fails_confirms_nothing():
    call = engine.confirm("1")[0]
    with pytest.raises(SchedulerUnavailable):
        call.parse(CommandResult(call.argv, 1, "", "error: commlib error: got read error"))


def test_a_job_is_found_by_its_name():
    found = answer(engine.find("tag-1"), "gridengine", "find")
    assert sorted(found) == ["1", "2", "6", "7", "9"]
    assert answer(engine.find("tag-2"), "gridengine", "find") == []


@pytest.mark.parametrize(("job_id", "name"), [("4", "qdel"), ("3", "qdel_finished")])
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(engine.cancel(job_id), "gridengine", name) is None


def test_a_refused_cancel_says_why():
    with pytest.raises(SchedulerError, match="necessary privileges"):
        answer(engine.cancel("1"), "gridengine", "qdel_other_user")


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(engine.cancel("1"), "gridengine", "qdel_down")


def test_a_task_of_an_array_is_asked_for_and_ended_alone():
    assert engine.cancel("6.2").argv == ("qdel", "6", "-t", "2")
    assert engine.confirm("6.2")[0].argv == ("qacct", "-j", "6", "-t", "2")


def test_there_is_no_command_for_signals():
    with pytest.raises(SchedulerError, match="cannot send signal 15 to job 1"):
        engine.signal("1", 15)


@pytest.mark.parametrize("job_id", ["", "*", "1 2", "-u", "1.", "1;true"])
def test_nothing_but_a_job_id_reaches_a_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of Grid Engine"):
        engine.cancel(job_id)


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("qw", JobState.PENDING),
        ("hqw", JobState.HELD),
        ("hRwq", JobState.HELD),
        ("Rq", JobState.PENDING),
        ("t", JobState.RUNNING),
        ("Rt", JobState.RUNNING),
        ("r", JobState.RUNNING),
        ("Rr", JobState.RUNNING),
        ("hr", JobState.RUNNING),
        ("s", JobState.SUSPENDED),
        ("ts", JobState.SUSPENDED),
        ("S", JobState.SUSPENDED),
        ("T", JobState.SUSPENDED),
        ("dr", JobState.COMPLETING),
        ("dT", JobState.COMPLETING),
        ("Eqw", JobState.HELD),
        ("Ehqw", JobState.HELD),
        ("z", JobState.COMPLETED),
        ("", JobState.UNKNOWN),
        ("x!", JobState.UNKNOWN),
    ],
)
def test_every_combination_of_codes_has_its_meaning(native, state):
    assert state_of(native) is state
