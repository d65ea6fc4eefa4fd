from __future__ import annotations

import json
import os
import subprocess

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import ParseError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobRequest, JobState, TaggedJob
from batchspawner.schedulers.oar.scheduler import OAR
from tests.recorded import answer, recorded

oar = OAR()
REQUEST = JobRequest("#!/bin/sh\n", "tag-1")


def listed(**job):
    (call,) = oar.query(["7"])
    return call.parse(CommandResult(call.argv, 0, json.dumps({"7": job})))["7"]


def by_state(name: str) -> dict[str, str]:
    """Return the id of the job in each state of a recorded listing."""
    jobs = json.loads(recorded("oar", name).stdout)
    return {job["state"]: job_id for job_id, job in jobs.items()}


def id_in(name: str) -> str:
    """Return the id of the job that a recorded command is about."""
    return recorded("oar", name).argv[-1].rpartition(" ")[2]


def ended(name: str):
    (call,) = oar.confirm(id_in(f"one_{name}"))
    return answer(call, "oar", f"one_{name}")


def test_a_submit_returns_the_id():
    assert answer(oar.submit(REQUEST), "oar", "oarsub") == "1"


def test_a_refused_submit_says_why():
    request = JobRequest("#!/bin/sh\n", "tag-1", {}, ("-q", "nowhere"))
    with pytest.raises(SubmitError, match="The queue nowhere does not exist"):
        answer(oar.submit(request), "oar", "oarsub_refused")


def test_an_id_that_a_failed_submit_prints_is_not_believed():
    assert "OAR_JOB_ID=" in recorded("oar", "oarsub_down").stdout
    with pytest.raises(SchedulerUnavailable, match="Cannot connect to executor"):
        answer(oar.submit(REQUEST), "oar", "oarsub_down")


def test_one_query_tells_the_state_of_every_kind_of_job():
    ids = by_state("oarstat")
    (call,) = oar.query([*ids.values(), "99999"])
    found = answer(call, "oar", "oarstat")
    assert {
        native: (found[job_id].state, found[job_id].host) for native, job_id in ids.items()
    } == {
        "Running": (JobState.RUNNING, "node1"),
        "Waiting": (JobState.PENDING, ""),
        "Hold": (JobState.HELD, ""),
    }
    assert found[ids["Running"]].start
    assert "99999" not in found


def test_a_job_that_waits_says_what_oar_says():
    job_id = by_state("oarstat")["Waiting"]
    (call,) = oar.query([job_id])
    status = answer(call, "oar", "oarstat")[job_id]
    assert status.reason.startswith("R=16,W=1:0:0")
    assert (status.start, status.name, status.queue) == (None, "tag-1", "default")


def test_a_state_that_nobody_knows_is_no_end():
    status = listed(state="Dreaming")
    assert (status.state, status.native) == (JobState.UNKNOWN, "Dreaming")


def test_no_jobs_is_an_answer_though_it_is_no_object():
    (call,) = oar.query(["1"])
    assert answer(call, "oar", "oarstat_empty") == {}


def test_a_failed_query_says_nothing_about_the_job():
    (call,) = oar.query(["1"])
    with pytest.raises(SchedulerUnavailable, match="DB connection error"):
        answer(call, "oar", "oarstat_down")


@pytest.mark.parametrize("cut", [40, 400])
def test_a_query_cut_off_in_the_middle_is_not_read(cut):
    (call,) = oar.query(["1"])
    whole = recorded("oar", "oarstat")
    with pytest.raises(ParseError, match="no jobs"):
        call.parse(CommandResult(whole.argv, 0, whole.stdout[:cut]))


@pytest.mark.parametrize(
    ("name", "state", "code", "signal"),
    [
        ("failing", JobState.FAILED, 3, None),
        ("killed", JobState.FAILED, None, 9),
        ("deleted", JobState.CANCELLED, None, None),
        ("expired", JobState.TIMEOUT, None, None),
    ],
)
def test_how_a_job_ended_is_confirmed(name, state, code, signal):
    status = ended(name)
    assert (status.state, status.exit_code or None, status.signal) == (state, code, signal)
    assert status.start <= status.end


def test_a_running_job_has_a_deadline():
    status = ended("running")
    assert (status.state, status.end - status.start) == (JobState.RUNNING, 7200)


def test_a_job_that_oar_does_not_know_is_unknown():
    assert ended("unknown") is None


def test_a_job_is_found_by_its_name():
    assert sorted(answer(oar.find("tag-1"), "oar", "oarstat")) == sorted(
        by_state("oarstat").values()
    )
    assert answer(oar.find("tag-2"), "oar", "oarstat") == []


def test_everybodys_jobs_are_listed_with_owner_and_name():
    job_id = by_state("oarstat")["Running"]
    assert TaggedJob(job_id, "alice", "tag-1") in answer(oar.tagged(), "oar", "oarstat")


@pytest.mark.parametrize("name", ["oardel", "oardel_ended", "oardel_unknown", "oardel_other_user"])
def test_a_cancel_of_a_job_that_is_not_ours_to_end_any_more_is_no_error(name):
    job_id = id_in(name)
    assert answer(oar.cancel(job_id), "oar", name) is None


def test_a_cancel_without_an_answer_can_be_tried_again():
    with pytest.raises(SchedulerUnavailable, match="Could not connect"):
        answer(oar.cancel("1"), "oar", "oardel_down")


@pytest.mark.parametrize("job_id", ["", "1 2", "-h", "1;true", "1\n2"])
def test_what_is_no_id_reaches_no_command(job_id):
    with pytest.raises(ValueError, match="is not a job id of OAR"):
        oar.cancel(job_id)


@pytest.fixture
def home(tmp_path):
    """A home, and an oarsub that keeps what it is told and runs the job at once."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "oarsub").write_text(
        '#!/bin/sh\nprintf "%s|" "$@" > "$HOME/told"\nfor last; do :; done\n'
        'ls -lR "$HOME/.batchspawner" > "$HOME/modes"\ncp "$last" "$HOME/job"\n'
        '[ -z "$REFUSE" ] || exit 8\n"$last" > "$HOME/output" 2>&1\necho OAR_JOB_ID=7\n'
    )
    (programs / "oarstat").write_text("#!/bin/sh\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    return tmp_path


def submit(home, request: JobRequest, **more) -> subprocess.CompletedProcess:
    call = oar.submit(request)
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        call.argv,
        input=call.input,
        env={"HOME": str(home), "PATH": path, **call.environment, **more},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_the_job_gets_its_environment_whatever_is_in_it(home):
    odd = 'it\'s "a" $(b) `c` \\ \nline two\n'
    script = "#!/bin/sh\n#OAR -l core=1\nprintf '%s' \"$ODD\"\n"
    done = submit(home, JobRequest(script, "tag-1", {"ODD": odd, "not a name": "x"}, ("-q", "a b")))
    assert done.stdout == "OAR_JOB_ID=7\n", done.stderr
    assert (home / "output").read_text() == odd
    told = (home / "told").read_text().split("|")
    assert told[:5] == ["-n", "tag-1", "-q", "a b", "-S"]
    assert (home / "job").read_text().startswith("#!/bin/sh\n#OAR -l core=1\n")


def test_nobody_else_can_read_what_a_job_needs_and_nothing_is_left_of_it(home):
    submit(home, JobRequest("#!/bin/sh\nexit 0\n", "", {"SECRET": "x"}))
    modes = [line[:10] for line in (home / "modes").read_text().splitlines() if " " in line]
    assert {mode[4:] for mode in modes if mode[0] in "d-"} == {"------"}
    assert list((home / ".batchspawner").iterdir()) == []
    assert "SECRET" not in (home / "job").read_text()


def test_the_exit_status_of_the_script_is_that_of_the_job(home):
    done = submit(home, JobRequest("#!/bin/sh\nexit 5\n"))
    assert done.returncode == 0
    assert (home / "told").read_text().startswith("-S|")


def test_a_refused_submit_leaves_nothing_behind(home):
    done = submit(home, REQUEST, REFUSE="1")
    assert done.returncode == 8
    assert list((home / ".batchspawner").iterdir()) == []


def test_a_submit_clears_away_what_killed_jobs_have_left(home):
    left = home / ".batchspawner" / "job.abcdef"
    fresh = home / ".batchspawner" / "job.ghijkl"
    for folder in (left, fresh):
        folder.mkdir(parents=True)
    os.utime(left, (1, 1))
    submit(home, JobRequest("#!/bin/sh\nexit 0\n"))
    assert (left.exists(), fresh.exists()) == (False, True)


def test_a_job_that_oar_resubmits_goes_on_under_its_first_id():
    first = id_in("one_resubmitted")
    (call,) = oar.query([first])
    (status,) = answer(call, "oar", "resubmitted").values()
    assert (status.job_id, status.state, status.host) == (first, JobState.RUNNING, "node1")
    assert str(int(first) + 1) in json.loads(recorded("oar", "resubmitted").stdout)


def test_a_cancel_ends_what_a_job_was_resubmitted_as():
    first = id_in("one_resubmitted")
    assert answer(oar.cancel(first), "oar", "oardel_resubmitted") is None
    assert (
        f"Deleting the job = {int(first) + 1} ...REG"
        in recorded("oar", "oardel_resubmitted").stdout
    )


def test_a_resubmitted_job_ends_as_its_last_run_did():
    first = id_in("one_resubmitted")
    (call,) = oar.confirm(first)
    status = answer(call, "oar", "one_resubmitted")
    runs = json.loads(recorded("oar", "one_resubmitted").stdout)
    assert (status.job_id, status.state) == (first, JobState.CANCELLED)
    assert status.end == runs[max(runs, key=int)]["stopTime"] > runs[first]["stopTime"]


def test_a_resubmitted_job_keeps_its_tag():
    first = id_in("one_resubmitted")
    assert answer(oar.find("tag-2"), "oar", "resubmitted") == [first]


def test_an_element_of_an_array_is_resubmitted_as_itself():
    jobs = {
        "12": {"state": "Running", "array_id": 12, "array_index": 1, "resubmit_job_id": 0},
        "19": {"state": "Waiting", "array_id": 12, "array_index": 2, "resubmit_job_id": 13},
        "20": {"state": "Running", "array_id": 20, "array_index": 1, "resubmit_job_id": 0},
    }
    (call,) = oar.query(["12", "13", "19", "20", "12[]"])
    found = call.parse(CommandResult(call.argv, 0, json.dumps(jobs)))
    assert {job_id: status.native for job_id, status in found.items()} == {
        "12": "Running",
        "13": "Waiting",
        "20": "Running",
        "12[]": "Running",
    }
