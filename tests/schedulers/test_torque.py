from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from batchspawner.client.batch_client import BatchClient
from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState, TaggedJob
from batchspawner.schedulers.torque.scheduler import STATES, Torque
from tests.recorded import answer, recorded

torque = Torque()
JOB = "<Job><Job_Id>{}</Job_Id><Job_Name>{}</Job_Name><job_state>{}</job_state>{}</Job>"


def listed(*jobs: str) -> CommandResult:
    return CommandResult(("qstat", "-x"), 0, f"<Data>{''.join(jobs)}</Data>")


def one(name: str, job_id: str):
    (call,) = torque.query([job_id])
    return answer(call, "torque", name)[job_id]


def ended(exit_status: str):
    (call,) = torque.query(["7"])
    more = f"<exit_status>{exit_status}</exit_status>"
    return call.parse(listed(JOB.format("7.headnode", "x", "C", more)))["7"]


def test_a_submit_returns_the_id():
    assert answer(torque.submit(JobRequest("")), "torque", "qsub") == "403.headnode"


def test_the_tag_is_the_name():
    assert torque.submit(JobRequest("", "tag-1")).argv == ("qsub", "-N", "tag-1")


def test_a_refused_submit_says_why():
    request = JobRequest("", "", {}, ("-q", "nosuch"))
    with pytest.raises(SubmitError, match="Unknown queue"):
        answer(torque.submit(request), "torque", "qsub_unknown_queue")


def test_a_job_that_no_node_can_ever_run_is_refused():
    request = JobRequest("", "", {}, ("-l", "nodes=1:ppn=500"))
    with pytest.raises(SubmitError, match="cannot locate feasible nodes") as refusal:
        answer(torque.submit(request), "torque", "qsub_never_fits")
    assert refusal.value.transient is False


def test_a_full_queue_can_be_tried_again():
    call = torque.submit(JobRequest(""))
    said = "qsub: submit error (Maximum number of jobs already in queue for user)\n"
    with pytest.raises(SubmitError) as refusal:
        call.parse(CommandResult(call.argv, 228, "", said))
    assert refusal.value.transient is True


@pytest.mark.parametrize("text", ["", "Your job is number 7", "7.headnode\n8.headnode"])
def test_what_is_no_id_is_not_taken_for_one(text):
    call = torque.submit(JobRequest(""))
    with pytest.raises(ParseError, match="no job id"):
        call.parse(CommandResult(call.argv, 0, text))


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable, match="Connection refused"):
        answer(torque.submit(JobRequest("")), "torque", "qsub_down")


def test_one_query_tells_the_state_of_the_jobs_that_are_wanted():
    (call,) = torque.query(["403.headnode", "404", "407.headnode", "408.headnode.org", "999"])
    start = 1795209176.0
    full = "Not Running: Not enough of the right type of nodes are available"
    assert answer(call, "torque", "qstat") == {
        "403.headnode": JobInfo(
            "403.headnode",
            JobState.RUNNING,
            "R",
            host="node1",
            queue="batch",
            name="jup-alice",
            start=start,
            end=start + 600,
        ),
        "404": JobInfo("404", JobState.HELD, "H", queue="batch", name="jup-alice"),
        "407.headnode": JobInfo("407.headnode", JobState.PENDING, "W", queue="batch", name="STDIN"),
        "408.headnode.org": JobInfo(
            "408.headnode.org", JobState.PENDING, "Q", full, queue="batch", name="STDIN"
        ),
    }


def test_a_job_that_depends_on_another_is_held():
    (call,) = torque.confirm("416.headnode")
    assert answer(call, "torque", "dependent").state is JobState.HELD


@pytest.mark.parametrize(
    ("exec_host", "host"),
    [
        ("node1/0", "node1"),
        ("node1/1-2", "node1"),
        ("node1/4-5+node2/4", "node1"),
        ("node1/0+node1/1", "node1"),
        ("n-1_a.example.org/0-3,5", "n-1_a.example.org"),
        ("", ""),
    ],
)
def test_the_host_is_found_in_every_form(exec_host, host):
    (call,) = torque.query(["7"])
    more = f"<exec_host>{exec_host}</exec_host>"
    assert call.parse(listed(JOB.format("7.h", "x", "R", more)))["7"].host == host


def test_the_first_of_several_hosts_runs_the_script():
    assert one("two_hosts", "412.headnode").host == "node2"


@pytest.mark.parametrize(
    ("native", "state"),
    [
        ("E", JobState.COMPLETING),
        ("H", JobState.HELD),
        ("Q", JobState.PENDING),
        ("R", JobState.RUNNING),
        ("S", JobState.SUSPENDED),
        ("T", JobState.PENDING),
        ("W", JobState.PENDING),
    ],
)
def test_every_state_of_the_manual_has_a_meaning(native, state):
    (call,) = torque.query(["7"])
    assert call.parse(listed(JOB.format("7.h", "x", native, "")))["7"].state is state
    assert set(STATES) == set("CEHQRSTW")


def test_a_state_that_nobody_knows_is_no_end():
    (call,) = torque.query(["7.headnode"])
    status = call.parse(listed(JOB.format("7.headnode", "x", "Z", "")))["7.headnode"]
    assert (status.state, status.native) == (JobState.UNKNOWN, "Z")


def test_an_id_without_its_server_is_the_same_job():
    (call,) = torque.query(["403", "4", "40"])
    assert list(answer(call, "torque", "qstat")) == ["403"]


def test_a_question_for_an_array_is_answered_with_all_jobs_and_the_array_is_found():
    (call,) = torque.confirm("419[].headnode")
    assert "<Data><Job><Job_Id>403.headnode</Job_Id>" in recorded("torque", "array").stdout
    assert answer(call, "torque", "array").name == "STDIN"
    (call,) = torque.confirm("419[1].headnode")
    assert answer(call, "torque", "array_task").host == "node1"


def test_a_name_forges_no_other_job():
    (call,) = torque.query(["7", "8"])
    name = "&lt;/Job_Name&gt;&lt;/Job&gt;&lt;Job&gt;&lt;Job_Id&gt;8&lt;/Job_Id&gt;"
    assert list(call.parse(listed(JOB.format("7.headnode", name, "R", "")))) == ["7"]


def test_what_users_have_in_their_environment_is_no_trap():
    (call,) = torque.confirm("478.headnode")
    status = answer(call, "torque", "tricky")
    assert (status.state, status.host) == (JobState.RUNNING, "node1")


def test_a_control_character_of_one_user_hides_nobodys_job():
    (call,) = torque.query(["7", "8"])
    bad = "<Variable_List>A=\x01\x1b[0m&#1;&#x1B;</Variable_List>"
    jobs = (JOB.format("7.h", "x", "R", bad), JOB.format("8.h", "y", "Q", ""))
    assert sorted(call.parse(listed(*jobs))) == ["7", "8"]


def test_a_document_that_declares_entities_is_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("R")
    (call,) = torque.query(["7"])
    text = f'<!DOCTYPE Data [<!ENTITY a SYSTEM "{secret.as_uri()}">]><Data>&a;</Data>'
    with pytest.raises(ParseError, match="document type"):
        call.parse(CommandResult(call.argv, 0, text))


def test_an_empty_list_is_an_answer():
    (call,) = torque.query(["403.headnode"])
    assert answer(call, "torque", "empty") == {}


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = torque.query(["403.headnode"])
    with pytest.raises(SchedulerUnavailable, match="Unable to communicate"):
        answer(call, "torque", "down")


def test_a_query_cut_off_in_the_middle_is_not_read():
    (call,) = torque.query(["403.headnode"])
    whole = recorded("torque", "qstat")
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


@pytest.mark.parametrize(
    ("exit_status", "state", "code", "signal"),
    [
        ("137", JobState.FAILED, None, 9),
        ("265", JobState.FAILED, None, 9),
        ("-10", JobState.OUT_OF_MEMORY, None, None),
        ("-12", JobState.TIMEOUT, None, None),
        ("-4", JobState.NODE_FAIL, None, None),
        ("-9", JobState.FAILED, None, None),
        ("-99", JobState.FAILED, None, None),
    ],
)
def test_an_exit_status_tells_who_ended_the_job(exit_status, state, code, signal):
    status = ended(exit_status)
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)


def test_a_job_that_never_ran_properly_says_why():
    assert ended("-9").describe() == "failed (its output files could not be created on its node)"
    assert ended("-99").describe() == "failed (Torque ended it, for its reason -99)"


def test_a_job_that_the_server_has_forgotten_is_unknown():
    (call,) = torque.confirm("999999")
    assert answer(call, "torque", "unknown") is None


def test_a_job_that_is_hidden_from_us_is_not_said_to_have_ended():
    (call,) = torque.confirm("403.headnode")
    with pytest.raises(SchedulerUnavailable, match="Unauthorized Request"):
        answer(call, "torque", "hidden")


def test_a_job_that_lives_is_found_by_its_name():
    jobs = (JOB.format("7.h", "tag-1", "R", ""), JOB.format("8.h", "tag-1", "C", ""))
    assert torque.find("tag-1").parse(listed(*jobs)) == ["7.h"]
    assert torque.find("tag-2").parse(listed(*jobs)) == []


def test_a_name_that_two_jobs_have_finds_neither():
    jobs = (JOB.format("7.h", "tag-1", "R", ""), JOB.format("8.h", "tag-1", "Q", ""))
    with pytest.raises(SchedulerError, match=r"more than one job is called tag-1: 7\.h, 8\.h"):
        torque.find("tag-1").parse(listed(*jobs))


def test_everybodys_jobs_that_have_not_ended_are_listed_with_owner_and_name():
    jobs = answer(torque.tagged(), "torque", "qstat")
    assert jobs == [
        TaggedJob("403.headnode", "alice", "jup-alice"),
        TaggedJob("404.headnode", "alice", "jup-alice"),
        TaggedJob("407.headnode", "alice", "STDIN"),
        TaggedJob("408.headnode", "alice", "STDIN"),
    ]
    assert torque.tagged().parse(listed(JOB.format("7.h", "jup-alice", "C", ""))) == []


@pytest.mark.parametrize(
    ("job_id", "name"),
    [("403.headnode", "qdel"), ("403.headnode", "qdel_ended"), ("999999", "qdel_unknown")],
)
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(torque.cancel(job_id), "torque", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(torque.cancel("478.headnode"), "torque", "qdel_down")


def test_another_users_job_is_not_said_to_be_cancelled():
    with pytest.raises(SchedulerError, match="Unauthorized Request"):
        answer(torque.cancel("403.headnode"), "torque", "qdel_not_ours")


def test_a_signal_names_its_number():
    assert torque.signal("12", 10).argv == ("qsig", "-s", "10", "12")


@pytest.mark.parametrize("job_id", ["", "abc", "all", "12 13", "-W", "../1", "12\n13"])
def test_what_is_no_id_reaches_no_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of Torque"):
        torque.cancel(job_id)


class Hasty(Torque):
    """Torque, asked as often as a test wishes."""

    minimum_interval = 0.01


@dataclass(frozen=True)
class Replay:
    """Answer each command with a transcript, as one user would see it."""

    answers: tuple[tuple[str, str], ...]
    is_this_user = True

    async def run(self, argv, *, input="", environment=None, timeout=30.0):  # noqa: A002
        return recorded("torque", dict(self.answers)[" ".join(argv)])


async def test_a_job_that_the_server_hides_from_the_hub_is_asked_for_as_its_owner():
    hub = Replay((("qstat -x", "empty"), ("qstat -x 403.headnode", "hidden")))
    alice = Replay((("qstat -x", "qstat"),))
    watch = BatchClient(Hasty(), alice, hub).watch("403.headnode", 0.01)
    status = await asyncio.wait_for(watch.change(), 10)
    watch.close()
    assert (status.state, status.host) == (JobState.RUNNING, "node1")


async def test_a_job_that_neither_the_hub_nor_its_owner_finds_is_gone():
    user = Replay((("qstat -x", "qstat"), ("qstat -x 999999", "unknown")))
    watch = BatchClient(Hasty(), user).watch("999999", 0.01)
    status = await asyncio.wait_for(watch.until(lambda status: status.is_final), 10)
    watch.close()
    assert status.gone


def test_a_cancel_that_does_not_reach_the_node_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(Torque().cancel("13.headnode"), "torque", "qdel_no_mom_yet")
