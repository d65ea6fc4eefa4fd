from __future__ import annotations

import re

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState, TaggedJob
from batchspawner.schedulers.slurm.scheduler import Slurm
from batchspawner.schedulers.slurm.states import SlurmId, state_of
from tests.recorded import answer, recorded

slurm = Slurm()
STARTS = {"slurm": 1795215130.0, "slurm/24.11": 1795253010.0}
FAILED_AT = {"slurm": 1795250790.0, "slurm/24.11": 1795253010.0}


def printed(text, code=0, error=""):
    return CommandResult(("squeue",), code, text, error)


def request(*arguments, script="#!/bin/sh\n", tag="bs-1234"):
    return JobRequest(script, tag, {}, arguments)


def test_a_submit_returns_the_id(generation):
    assert answer(slurm.submit(request("-o", "/dev/null")), generation, "sbatch") == "1"


def test_a_submit_keeps_the_cluster_and_skips_what_a_site_prints_before():
    call = slurm.submit(request("-M", "two", "-o", "/dev/null", tag="bs-two"))
    assert answer(call, "slurm", "sbatch_cluster") == "1;two"
    assert call.parse(printed("Welcome to the cluster\n1;two\n")) == "1;two"


def test_a_script_with_a_comment_of_its_own_keeps_it():
    call = slurm.submit(request(script="#!/bin/sh\n#SBATCH --comment=paid\n"))
    assert call.argv == ("sbatch", "--parsable", "--job-name=bs-1234")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("sbatch_bad_partition", ("-p", "nowhere"), "Invalid partition name specified"),
        ("sbatch_too_big", ("--mem=999999999",), "Requested node configuration is not available"),
    ],
)
def test_a_refused_submit_says_why(generation, name, arguments, said):
    with pytest.raises(SubmitError, match=said) as caught:
        answer(slurm.submit(request("-o", "/dev/null", *arguments)), generation, name)
    assert not caught.value.transient


def test_a_submit_without_an_answer_is_no_refusal(generation):
    with pytest.raises(SchedulerUnavailable, match="Unable to contact slurm controller"):
        answer(slurm.submit(request(tag="")), generation, "sbatch_down")


def test_one_query_tells_the_state_of_every_kind_of_job(generation):
    start, end = STARTS[generation], STARTS[generation] + 3600
    wanted = ["1", "2", "3_1", "3_4", "4", "5", "99999"]
    (call,) = slurm.query(wanted)
    running = JobInfo(
        "1", JobState.RUNNING, "RUNNING", host="n1", queue="normal", start=start, end=end
    )
    assert answer(call, generation, "squeue") == {
        "1": running,
        "2": JobInfo("2", JobState.HELD, "PENDING", "JobHeldUser", queue="normal"),
        "3_1": JobInfo(
            "3_1", JobState.RUNNING, "RUNNING", host="n1", queue="normal", start=start, end=end
        ),
        "3_4": JobInfo("3_4", JobState.PENDING, "PENDING", "JobArrayTaskLimit", queue="normal"),
        "4": JobInfo(
            "4",
            JobState.FAILED,
            "FAILED",
            "NonZeroExitCode",
            "n1",
            "normal",
            start=start,
            end=start,
        ),
        "5": JobInfo(
            "5", JobState.CANCELLED, "CANCELLED", host="n1", queue="normal", start=start, end=start
        ),
    }


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("ReqNodeNotAvail,_May_be_reserved_for_other_job", ""),
        ("Resources", ""),
        ("DependencyNeverSatisfied", "DependencyNeverSatisfied"),
    ],
)
def test_a_cancelled_job_does_not_report_the_reason_of_its_wait(generation, word, reason):
    (call,) = slurm.query(["5"])
    whole = recorded(generation, "squeue")
    text = re.sub(r"(?m)^(5\|CANCELLED\|.*\|)None$", rf"\g<1>{word}", whole.stdout)
    assert call.parse(type(whole)(whole.argv, 0, text))["5"].reason == reason


def test_an_array_lives_as_long_as_one_of_its_tasks(generation):
    (call,) = slurm.query(["3"])
    assert answer(call, generation, "squeue")["3"].state is JobState.PENDING


def test_each_cluster_is_asked_on_its_own_about_jobs_of_the_same_number():
    # With -h, squeue does not say from which cluster a line is: seen with 22.05.8 and 24.11.
    calls = slurm.query(["7;one", "7;two", "8;one"])
    assert [call.argv[:4] for call in calls] == [
        ("squeue", "-M", "one", "-h"),
        ("squeue", "-M", "two", "-h"),
    ]
    one, two = (
        printed(
            "7|RUNNING|a1|1795215130|1795218730|normal|None\n"
            "8|PENDING|n/a|1795215190|1795218790|normal|Resources\n"
        ),
        printed("7|PENDING|n/a|N/A|N/A|normal|Priority\n"),
    )
    found = {**calls[0].parse(one), **calls[1].parse(two)}
    assert {job_id: (s.state, s.host, s.expected_start) for job_id, s in found.items()} == {
        "7;one": (JobState.RUNNING, "a1", None),
        "8;one": (JobState.PENDING, "", 1795215190.0),
        "7;two": (JobState.PENDING, "", None),
    }


def test_a_job_that_went_to_another_cluster_is_found_by_its_tag():
    assert answer(slurm.find_elsewhere("bs-two"), "slurm", "find_elsewhere") == ["1;two"]


def test_jobs_of_all_clusters_that_slurm_clusters_names_have_their_clusters_in_their_ids():
    assert answer(slurm.find("bs-two"), "slurm", "find_two_clusters") == ["1;two"]
    assert answer(slurm.tagged(), "slurm", "tagged_two_clusters") == [
        TaggedJob("10;testcluster", "alice", "bs-one|sbatch"),
        TaggedJob("1;two", "alice", "bs-two|sbatch"),
    ]


def test_ones_own_jobs_are_listed_with_names_that_may_hold_anything():
    text = (
        "JOBID|STATE|EXEC_HOST|START_TIME|END_TIME|PARTITION|REASON|NAME\n"
        "17|RUNNING|n1|1795215190|1795218790|normal|None|a|b\n"
        "18_[2-9]|PENDING|n/a|N/A|N/A|normal|Priority|forged\n19|RUNNING\n"
        "CLUSTER: two\n3|PENDING|n/a|1795215190|1795218790|gpu|Resources|\n"
    )
    found = slurm.own_jobs("alice").parse(printed(text))
    assert [(one.job_id, one.state, one.queue, one.name, one.start) for one in found] == [
        ("17", JobState.RUNNING, "normal", "a|b", 1795215190.0),
        ("18", JobState.PENDING, "normal", "forged", None),
        ("3;two", JobState.PENDING, "gpu", "", None),
    ]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sbatch", slurm.submit(request("-M", "two", "-o", "/dev/null", tag="bs-two"))),
        ("squeue", slurm.query(["1;two"])[0]),
        ("scontrol", slurm.confirm("1;two")[0]),
        ("scancel", slurm.cancel("1;two")),
        ("signal", slurm.signal("1;two", 15)),
    ],
)
def test_a_cluster_that_cannot_be_reached_has_said_nothing(name, call):
    with pytest.raises(SchedulerUnavailable, match="'two' can't be reached now"):
        answer(call, "slurm", f"{name}_unreachable")


def test_without_a_database_of_clusters_there_are_no_others():
    call = slurm.find_elsewhere("bs-1")
    text = (
        "squeue: error: There is a problem talking to the database: Connection refused.  Only "
        "local cluster communication is available, remove --cluster from your command line"
    )
    assert call.parse(printed("", 1, text)) == []
    with pytest.raises(SchedulerUnavailable):
        call.parse(printed("", 1, "slurm_load_jobs error: Unable to contact slurm controller"))


def test_a_step_in_a_job_of_another_cluster_names_both():
    argv = slurm.on_node("n1", "hostname", "7;two")
    assert argv[5:9] == ("-M", "two", "--jobid=7", "--nodelist=n1")


def test_a_line_that_cannot_be_read_costs_its_own_job_only():
    (call,) = slurm.query(["1", "2", "3"])
    found = call.parse(
        printed(
            "1|RUNNING|n1|1795215130|1795218730|normal|None\n"
            "2|RUNNING\n"
            "what a plugin says\n"
            "3|RUNNING|n2|1795215130|1795218730|normal|None\n"
        )
    )
    assert [(s.job_id, s.state, s.host) for s in found.values()] == [
        ("1", JobState.RUNNING, "n1"),
        ("2", JobState.UNKNOWN, ""),
        ("3", JobState.RUNNING, "n2"),
    ]


def test_jobs_with_and_without_a_cluster_take_two_commands():
    assert [call.argv[:3] for call in slurm.query(["7;one", "3"])] == [
        ("squeue", "-M", "one"),
        ("squeue", "-h", "-a"),
    ]


def test_the_first_component_stands_for_a_heterogeneous_job():
    (call,) = slurm.query(["1", "1+1"])
    found = answer(call, "slurm", "squeue_het")
    assert {job_id: status.host for job_id, status in found.items()} == {"1": "n1", "1+1": "g1"}
    assert answer(slurm.confirm("1")[0], "slurm", "scontrol_het").host == "n1"
    assert answer(slurm.find("bs-1234"), "slurm", "find_het") == ["1"]


def test_a_failed_query_says_nothing_about_the_job(generation):
    (call,) = slurm.query(["1"])
    with pytest.raises(SchedulerUnavailable):
        answer(call, generation, "squeue_down")


def test_a_query_of_a_frozen_controller_says_nothing_about_the_job():
    (call,) = slurm.query(["1"])
    with pytest.raises(SchedulerUnavailable):
        answer(call, "slurm", "squeue_frozen")


def test_a_query_cut_off_in_mid_line_is_not_read(generation):
    (call,) = slurm.query(["1"])
    whole = recorded(generation, "squeue")
    half = type(whole)(whole.argv, 0, whole.stdout[: whole.stdout.index("1|RUNNING|n1|") + 12])
    with pytest.raises(ParseError, match="another form"):
        call.parse(half)


def test_scontrol_tells_how_a_job_ended(generation):
    start = FAILED_AT[generation]
    assert answer(slurm.confirm("4")[0], generation, "scontrol_failed") == JobInfo(
        "4",
        JobState.FAILED,
        "FAILED",
        "NonZeroExitCode",
        "n1",
        "normal",
        start=start,
        end=start,
        exit_code=7,
    )
    cancelled = answer(slurm.confirm("5")[0], generation, "scontrol_cancelled")
    assert cancelled.state is JobState.CANCELLED


@pytest.mark.parametrize(("way", "name"), [(0, "scontrol_hungry"), (1, "sacct_hungry")])
def test_a_job_with_a_step_that_was_short_of_memory_was_short_of_memory(way, name):
    status = answer(slurm.confirm("1")[way], "slurm", name)
    assert (status.state, status.reason) == (JobState.OUT_OF_MEMORY, "OutOfMemory")


def test_scontrol_finds_the_task_of_an_array(generation):
    status = answer(slurm.confirm("3_4")[0], generation, "scontrol_task")
    assert (status.state, status.reason) == (JobState.PENDING, "JobArrayTaskLimit")


def test_scontrol_does_not_know_every_job(generation):
    assert answer(slurm.confirm("99999")[0], generation, "scontrol_unknown") is None


def test_a_scontrol_that_fails_confirms_nothing(generation):
    with pytest.raises(SchedulerUnavailable):
        answer(slurm.confirm("1")[0], generation, "scontrol_down")


@pytest.mark.parametrize(
    ("name", "job_id", "state", "code", "reason"),
    [
        ("failed", "1", JobState.FAILED, 7, ""),
        ("done", "2", JobState.COMPLETED, 0, ""),
        ("cancelled", "3", JobState.CANCELLED, 0, "cancelled by user id 1004"),
    ],
)
def test_the_accounting_tells_how_a_job_ended(generation, name, job_id, state, code, reason):
    status = answer(slurm.confirm(job_id)[1], generation, f"sacct_{name}")
    assert (status.state, status.exit_code, status.reason) == (state, code, reason)


@pytest.mark.parametrize("name", ["disabled", "unknown"])
def test_an_accounting_that_has_nothing_says_nothing(generation, name):
    assert answer(slurm.confirm("99999")[1], generation, f"sacct_{name}") is None


def test_a_job_is_found_by_its_tag(generation):
    assert answer(slurm.find("bs-1234"), generation, "find") == ["3", "2", "1"]
    assert answer(slurm.find("bs-9"), generation, "find") == []


@pytest.mark.parametrize(
    ("job_id", "name"), [("5", "scancel"), ("4", "scancel_finished"), ("99999", "scancel_unknown")]
)
def test_a_cancel_of_a_job_that_ended_is_no_error(generation, job_id, name):
    assert answer(slurm.cancel(job_id), generation, name) is None


def test_a_refused_cancel_says_why(generation):
    with pytest.raises(SchedulerError, match="Access/permission denied"):
        answer(slurm.cancel("1"), generation, "scancel_other_user")


def test_a_cancel_without_an_answer_can_be_tried_again(generation):
    with pytest.raises(SchedulerUnavailable):
        answer(slurm.cancel("1"), generation, "scancel_down")


def test_a_signal_goes_to_all_processes_of_the_job(generation):
    assert answer(slurm.signal("1", 15), generation, "signal") is None


def test_a_cluster_goes_with_every_command():
    assert slurm.cancel("7;one").argv == ("scancel", "-M", "one", "7")
    assert slurm.confirm("7_2;one")[0].argv == (
        "scontrol",
        "-M",
        "one",
        "-d",
        "-o",
        "show",
        "job",
        "7_2",
    )


@pytest.mark.parametrize("job_id", ["", "12; rm -rf /", "-u", "12\n13", "all", "12;", "1_2_3"])
def test_nothing_but_a_job_id_reaches_a_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of Slurm"):
        slurm.cancel(job_id)


def test_a_state_of_a_future_release_is_unknown_and_not_an_end():
    assert state_of("TELEPORTED") is JobState.UNKNOWN
    assert not state_of("TELEPORTED").is_final


@pytest.mark.parametrize(
    ("listed", "matches"),
    [
        ("9_[3-5%2]", True),
        ("9_[1,4]", True),
        ("9_[0-8:4]", True),
        ("9_4", True),
        ("9_[0-8:3]", False),
        ("9_[5-9]", False),
        ("9_40", False),
    ],
)
def test_a_task_is_found_in_its_arrays_line(listed, matches):
    assert SlurmId.parse("9_4").is_listed_as(listed) is matches


USUAL = {"SBATCH_ACCOUNT": "def-ada", "SBATCH_PARTITION": "debug", "SBATCH_EXPORT": "NONE"}


def test_an_option_is_not_taken_for_another_that_begins_like_it():
    script = "#!/bin/sh\n#SBATCH --time-min=5\n"
    assert slurm.usual_options({"SBATCH_TIMELIMIT": "9"}, request(script=script)) == ("--time=9",)


def test_what_users_export_for_sbatch_becomes_its_options():
    found = slurm.usual_options({**USUAL, "SBATCH_QOS": "", "HOME": "/"}, request())
    assert found == ("--account=def-ada", "--partition=debug")


@pytest.mark.parametrize(
    "options",
    ["-p gpu", "-pgpu", "--partition=gpu", "--partition gpu", "--nodes=1 -p gpu # the fast ones"],
)
def test_what_a_script_asks_for_wins_over_what_its_user_exports(options):
    script = f"#!/bin/sh\n#SBATCH --job-name=a-p\n#SBATCH {options}\n"
    assert slurm.usual_options(USUAL, request(script=script)) == ("--account=def-ada",)


def test_an_argument_wins_over_what_its_user_exports():
    assert slurm.usual_options(USUAL, request("-A", "other")) == ("--partition=debug",)
