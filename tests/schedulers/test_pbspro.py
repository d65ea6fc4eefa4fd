from __future__ import annotations

import json
import time

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobInfo, JobRequest, JobState
from batchspawner.schedulers.pbspro.scheduler import PBSPro
from tests.recorded import answer, recorded

pbs = PBSPro()


def local(text):
    return time.mktime(time.strptime(text, "%a %b %d %H:%M:%S %Y"))


def listing(**job):
    (call,) = pbs.query(["7"])
    text = json.dumps({"Jobs": {"7.headnode": {"Job_Name": "x", **job}}})
    return call.parse(CommandResult(call.argv, 0, text))["7"]


def one(name, job_id):
    (call,) = pbs.query([job_id])
    return answer(call, "pbspro", name)[job_id]


def test_a_submit_returns_the_id():
    job_id = answer(pbs.submit(JobRequest("")), "pbspro", "qsub")
    assert job_id.partition(".")[2] == "headnode"


def test_the_tag_is_the_name():
    assert pbs.submit(JobRequest("", "tag-1")).argv == ("qsub", "-N", "tag-1")


def test_a_refused_submit_says_why():
    request = JobRequest("", "", {}, ("-q", "nosuch"))
    with pytest.raises(SubmitError, match="Unknown queue"):
        answer(pbs.submit(request), "pbspro", "qsub_unknown_queue")


def test_a_submit_without_an_answer_is_no_refusal():
    with pytest.raises(SchedulerUnavailable, match="cannot connect to server"):
        answer(pbs.submit(JobRequest("")), "pbspro", "qsub_down")


def test_one_query_tells_the_state_of_the_jobs_that_are_wanted():
    (call,) = pbs.query(["168.headnode", "170", "171.headnode", "999.headnode"])
    start = local("Fri Nov 20 20:41:57 2026")
    never = "Can Never Run: Insufficient amount of resource: host (node77 != node1,node2)"
    common = {"queue": "workq", "name": "STDIN"}
    assert answer(call, "pbspro", "qstat") == {
        "168.headnode": JobInfo(
            "168.headnode",
            JobState.RUNNING,
            "R",
            host="node1",
            start=start,
            end=start + 3600,
            **common,
        ),
        "170": JobInfo("170", JobState.RUNNING, "R", host="node2", start=start, **common),
        "171.headnode": JobInfo("171.headnode", JobState.PENDING, "Q", never, **common),
    }


def test_no_jobs_at_all_is_an_answer():
    (call,) = pbs.query(["1"])
    assert answer(call, "pbspro", "qstat_empty") == {}


def test_a_server_that_is_down_says_nothing_though_it_prints_json():
    (call,) = pbs.query(["1"])
    assert json.loads(recorded("pbspro", "qstat_down").stdout)
    with pytest.raises(SchedulerUnavailable):
        answer(call, "pbspro", "qstat_down")


@pytest.mark.parametrize("text", ["", "[]", '{"Jobs": [1]}', '{"Jobs": {"7": 3}}', "{"])
def test_an_answer_in_another_form_is_not_read(text):
    (call,) = pbs.query(["1"])
    with pytest.raises(ParseError, match="printed no jobs"):
        call.parse(CommandResult(call.argv, 0, text))


@pytest.mark.parametrize(
    ("name", "job_id", "state"),
    [
        ("held", "2.headnode", JobState.HELD),
        ("suspended", "46.headnode", JobState.SUSPENDED),
        ("later", "4.headnode", JobState.PENDING),
        ("exiting", "161.headnode", JobState.COMPLETING),
    ],
)
def test_a_job_that_neither_waits_nor_runs_is_what_it_is(name, job_id, state):
    assert one(name, job_id).state is state


def test_the_first_of_several_hosts_runs_the_script():
    assert one("two_hosts", "42.headnode").host == "node1"


@pytest.mark.parametrize(
    ("exec_host", "host"),
    [
        ("n1/0", "n1"),
        ("n1.example.org/0*2", "n1.example.org"),
        ("n2/6*4+n1/0*4", "n2"),
        ("fe80::1/0", "fe80::1"),
        ("", ""),
    ],
)
def test_the_host_is_found_in_every_form(exec_host, host):
    assert listing(job_state="R", exec_host=exec_host).host == host


@pytest.mark.parametrize(
    ("name", "job_id", "state", "code", "signal"),
    [
        ("exit0", "26.headnode", JobState.COMPLETED, 0, None),
        ("exit3", "27.headnode", JobState.FAILED, 3, None),
        ("killed", "28.headnode", JobState.FAILED, None, 9),
        ("walltime", "29.headnode", JobState.TIMEOUT, None, None),
        ("deleted", "1.headnode", JobState.CANCELLED, None, 15),
        ("deleted_waiting", "3.headnode", JobState.CANCELLED, None, None),
        ("never_ran", "39.headnode", JobState.CANCELLED, None, None),
    ],
)
def test_the_history_tells_how_a_job_ended(name, job_id, state, code, signal):
    status = answer(pbs.confirm(job_id)[0], "pbspro", f"ended_{name}")
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)
    assert status.end


def test_memory_that_was_not_enough_is_named():
    ended = {"job_state": "F", "Exit_status": -27}
    status = listing(**ended, comment="Job run and exceeded resource mem")
    assert (status.state, status.reason) == (
        JobState.OUT_OF_MEMORY,
        "Job run and exceeded resource mem",
    )


def test_the_history_does_not_know_every_job():
    assert answer(pbs.confirm("999999.headnode")[0], "pbspro", "unknown") is None


def test_a_job_is_found_by_its_name_if_only_one_has_it():
    call = pbs.find("tag-1")
    jobs = {"7.headnode": {"Job_Name": "tag-1"}, "8.headnode": {"Job_Name": "x"}}
    assert call.parse(CommandResult(call.argv, 0, json.dumps({"Jobs": jobs}))) == ["7.headnode"]
    jobs["8.headnode"]["Job_Name"] = "tag-1"
    with pytest.raises(SchedulerError, match="more than one job is called tag-1"):
        call.parse(CommandResult(call.argv, 0, json.dumps({"Jobs": jobs})))


@pytest.mark.parametrize(
    ("job_id", "name"),
    [("1.headnode", "qdel"), ("1.headnode", "qdel_finished"), ("999999", "qdel_unknown")],
)
def test_a_cancel_of_a_job_that_ended_is_no_error(job_id, name):
    assert answer(pbs.cancel(job_id), "pbspro", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable):
        answer(pbs.cancel("496.headnode"), "pbspro", "qdel_down")


def test_a_signal_is_sent_by_its_number():
    assert pbs.signal("7.headnode", 15).argv == ("qsig", "-s", "15", "7.headnode")


@pytest.mark.parametrize("job_id", ["", "abc", "7;true", "-x", "7 8", "7[", "7.head node"])
def test_nothing_but_a_job_id_reaches_a_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of PBS"):
        pbs.cancel(job_id)


def test_a_state_of_a_future_release_is_unknown_and_not_an_end():
    status = listing(job_state="Z")
    assert (status.state, status.is_final) == (JobState.UNKNOWN, False)


def test_an_estimate_is_told_to_those_who_wait():
    assert listing(job_state="Q", estimated={"start_time": 1795206567}).expected_start == 1795206567


@pytest.mark.parametrize(
    ("name", "number", "called"),
    [
        ("bad_number", "408", "STDIN"),
        ("control_character", "437", "STDIN"),
        ("job_called_nan", "409", "nan"),
    ],
)
def test_a_record_that_is_no_valid_json_is_read_all_the_same(name, number, called):
    job_id = f"{number}.headnode"
    status = one(f"released_list_{name}", job_id)
    assert (status.state, status.host, status.name) == (JobState.RUNNING, "node1", called)
    (tagged,) = answer(pbs.tagged(), "pbspro", f"released_list_{name}")
    assert (tagged.job_id, tagged.owner) == (job_id, "bob")


def broken(variables, *, text="12.pbs1"):
    """Return a listing as a release prints it that writes users' variables as they are."""
    return f"""{{
    "timestamp":1,
    "Jobs":{{
        "{text}":{{
            "Job_Name":"ours",
            "Job_Owner":"ada@login",
            "job_state":"R",
            "exec_host":"node7/0*2",
            "Resource_List":{{
                "walltime":"08:00:00"
            }},
            "stime":"Mon Nov 24 10:00:00 2025",
            "Variable_List":{{
                "A":"1"
            }},
            "comment":"Job run"
        }},
        "13.pbs1":{{
            "Job_Name":"sim",
            "Job_Owner":"ben@login",
            "job_state":"R",
            "exec_host":"node8/0",
            "Variable_List":{{
                {variables}
            }},
            "Exit_status":3,
            "comment":"Job run at noon"
        }}
    }}
}}
"""


@pytest.mark.parametrize(
    "variables",
    [
        '"RUN_ID":005',
        r'''"GREETING":"it\'s me"''',
        r'"LIST":"a\,b"',
        '"BASH_FUNC_module()":"() {  eval `modulecmd bash $*`\n}"',
        '"NOTE":"say "hello" twice"',
        '"FLAG":True',
        '"FORGED":"1\n"job_state":"Q"',
        '"LONE":"\\',
        '"BRACE":"}\n}',
    ],
)
def test_what_one_user_exports_costs_nobody_elses_job(variables):
    (call,) = pbs.query(["12.pbs1", "13.pbs1"])
    found = call.parse(CommandResult(call.argv, 0, broken(variables)))
    start = local("Mon Nov 24 10:00:00 2025")
    assert found["12.pbs1"] == JobInfo(
        "12.pbs1", JobState.RUNNING, "R", host="node7", name="ours", start=start, end=start + 28800
    )
    assert (found["13.pbs1"].state, found["13.pbs1"].host) == (JobState.RUNNING, "node8")


def test_a_record_that_a_user_wrote_into_a_variable_is_not_taken_for_anothers_job():
    forged = '"X":"\n        "12.pbs1":{\n            "job_state":"F",\n"'
    (call,) = pbs.query(["12.pbs1"])
    assert call.parse(CommandResult(call.argv, 0, broken(forged))) == {}
    inside = '"X":"", "Y":1}}, "12.pbs1":{"job_state":"F", "Variable_List":{"Z":""'
    assert call.parse(CommandResult(call.argv, 0, broken(inside))) == {}


@pytest.mark.parametrize("notice", ["Welcome\n", "{maintenance}\nat noon\n"])
def test_notices_before_a_listing_do_not_matter(notice):
    (call,) = pbs.query(["12.pbs1"])
    text = notice + broken('"A":1')
    assert call.parse(CommandResult(call.argv, 0, text))["12.pbs1"].host == "node7"


def test_without_a_history_the_end_of_a_job_is_its_absence():
    history, current = pbs.confirm("120.headnode")
    assert answer(history, "pbspro", "confirm_history_off") is None
    assert answer(current, "pbspro", "one_history_off_without_x") is None


def test_a_job_that_is_hidden_from_us_is_not_gone():
    _, current = pbs.confirm("158.headnode")
    with pytest.raises(SchedulerUnavailable, match="query_other_jobs"):
        answer(current, "pbspro", "hidden")


def test_two_servers_have_jobs_of_the_same_number():
    (call,) = pbs.query(["12.pbs1", "12.pbs2.example.org", "13"])
    states = {"12.pbs1": "R", "12.pbs2": "Q", "13.pbs1": "H"}
    jobs = {job_id: {"job_state": state} for job_id, state in states.items()}
    text = json.dumps({"Jobs": jobs})
    found = call.parse(CommandResult(call.argv, 0, text))
    assert {job_id: one.native for job_id, one in found.items()} == {
        "12.pbs1": "R",
        "12.pbs2.example.org": "Q",
        "13": "H",
    }


def test_a_cancel_that_does_not_reach_the_node_can_be_tried_again():
    text = "qdel: Server could not connect to MOM 13.headnode\n"
    with pytest.raises(SchedulerUnavailable):
        pbs.cancel("13.headnode").parse(CommandResult(("qdel",), 222, "", text))
