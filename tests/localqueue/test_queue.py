"""What the commands of the embedded queue do and say."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchspawner import LocalQueueSpawner
from batchspawner.localqueue import folder
from tests.folders import mode
from tests.localqueue.conftest import COMMAND
from tests.spawners.site import close_databases, make_spawner


def test_a_job_runs_and_its_end_is_known(queue):
    job_id = queue.submit("echo out; echo err >&2; exit 3", "--name=x")
    job = queue.until(job_id)
    assert (job["state"], job["exit_code"], job["signal"]) == ("FAILED", 3, None)
    assert (job["name"], job["host"], job["slots"]) == ("x", "127.0.0.1", 1)
    assert job["submitted"] <= job["started"] <= job["ended"]
    assert queue.output(job_id) == "out\nerr\n"


def test_how_many_slots_are_free_is_told_before_and_while_jobs_run(queue):
    before = json.loads(queue.run("info").stdout)
    job_id = queue.submit("sleep 600")
    queue.until(job_id, "RUNNING")
    now = json.loads(queue.run("info").stdout)
    assert (before["free"], now) == (
        before["slots"],
        {"slots": before["slots"], "free": before["slots"] - 1},
    )


def test_a_job_has_the_environment_and_the_folder_of_its_submit(queue, tmp_path):
    job_id = queue.submit('echo "$SECRET" "$BATCHSPAWNER_QUEUE_JOB_ID"; pwd', SECRET="a\nb")
    queue.until(job_id, "COMPLETED")
    assert queue.output(job_id) == f"a\nb {job_id}\n{tmp_path}\n"


def test_options_stand_in_the_script_and_the_command_line_rules(queue, tmp_path):
    script = (
        "#!/bin/sh\n#QUEUEING is a comment\n\n#QUEUE --name='a b' --slots=2\n"
        f"#QUEUE --output={tmp_path}/%j.log\nexit\n#QUEUE --slots=9\n"
    )
    done = queue.run("submit", "--name=c", script=script)
    job = queue.until(done.stdout.strip(), "COMPLETED")
    assert (job["name"], job["slots"], job["output"]) == ("c", 2, f"{tmp_path}/{job['id']}.log")


def test_jobs_beyond_the_slots_wait_in_order(queue):
    first = queue.submit("sleep 600")
    large = queue.submit("true", "--slots=2")
    small = queue.submit("true")
    assert queue.job(first)["state"] == "RUNNING"
    waiting = [(queue.job(one)["state"], queue.job(one)["reason"]) for one in (large, small)]
    assert waiting == [
        ("PENDING", "needs 2 of the slots, 1 free"),
        ("PENDING", "needs 1 of the slots, 1 free; 1 ahead in the queue"),
    ]
    queue.run("cancel", first)
    assert queue.run("wait", "--timeout=20", large, small).returncode == 0
    assert queue.job(large)["started"] <= queue.job(small)["started"]


def test_a_job_that_can_never_start_is_refused(queue):
    done = queue.run("submit", "--slots=3", script="#!/bin/sh\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "asks for 3 slots, and this queue has only 2" in done.stderr


def test_a_job_for_which_the_queue_has_become_too_small_blocks_nobody(queue):
    blocker = queue.submit("sleep 600")
    large = queue.submit("true", "--slots=2")
    small = queue.submit("true", BATCHSPAWNER_QUEUE_SLOTS="1")
    job = queue.job(large)
    assert (job["state"], job["reason"]) == (
        "FAILED",
        "it asks for 2 slots, and the queue has only 1 now",
    )
    queue.run("cancel", blocker)
    assert queue.until(small)["state"] == "COMPLETED"


@pytest.mark.parametrize(
    ("name", "value"),
    [("SLOTS", "0"), ("SLOTS", "two"), ("GRACE", "nan"), ("GRACE", "-1"), ("KEEP", "a week")],
)
def test_a_setting_that_is_not_understood_is_named(queue, name, value):
    setting = {f"BATCHSPAWNER_QUEUE_{name}": value}
    done = queue.run("submit", script="#!/bin/sh\n", **setting)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"BATCHSPAWNER_QUEUE_{name} is '{value}'; write a" in done.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no interpreter\n", "must begin with #!"),
        ("", "must begin with #!"),
        ("#! \n", "must begin with #!"),
        ("#!/bin/sh\n#QUEUE --colour=red\n", "line 2 of the script, '#QUEUE --colour=red'"),
        ("#!/bin/sh\n#QUEUE --walltime=soon\n", "--walltime: 'soon' is not allowed"),
        ("#!/bin/sh\n#QUEUE --walltime=99999999\n", "--walltime: '99999999' is not allowed"),
        ("#!/bin/sh\n#QUEUE --slots=0\n", "--slots: '0' is not allowed"),
        ("#!/bin/sh\n#QUEUE --name='\n", "line 2 of the script"),
    ],
)
def test_a_script_that_is_not_understood_is_refused(queue, script, said):
    done = queue.run("submit", script=script)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert queue.jobs("--all") == {}


def test_a_waiting_job_is_cancelled_at_once(queue):
    blocker = queue.submit("sleep 600", "--slots=2")
    job_id = queue.submit("true")
    queue.run("cancel", job_id)
    assert queue.job(job_id)["state"] == "CANCELLED"
    assert queue.job(blocker)["state"] == "RUNNING"


def test_cancelling_what_has_ended_or_never_was_is_no_error(queue):
    job_id = queue.submit("true")
    queue.until(job_id, "COMPLETED")
    done = queue.run("cancel", job_id, "99")
    assert done.returncode == 0
    assert "has ended already" in done.stderr
    assert "there is no job 99" in done.stderr
    assert queue.job(job_id)["state"] == "COMPLETED"


def test_an_interpreter_that_is_not_there_fails_the_job(queue):
    done = queue.run("submit", script="#!/no/such/shell\n")
    job = queue.until(done.stdout.strip())
    assert (job["state"], job["exit_code"]) == ("FAILED", 127)
    assert "No such file or directory: '/no/such/shell'" in job["reason"]


def test_a_script_may_hold_any_bytes_and_gives_its_interpreter_one_argument(queue):
    script = "#! /bin/sh -e\nprintf '\udcff\r\n'; false; echo not here\n"
    job = queue.until(queue.run("submit", script=script).stdout.strip())
    assert (job["state"], Path(job["output"]).read_bytes()) == ("FAILED", b"\xff\r\n")


def test_many_submitters_at_once_share_the_slots(queue, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    body = f"m={marks}/$$; touch $m; ls {marks} | wc -l; sleep 0.05; rm $m"
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: queue.submit(body), range(24)))
    assert len(set(ids)) == 24
    assert queue.run("wait", "--timeout=50", *ids).returncode == 0
    jobs = [queue.jobs("--all")[job_id] for job_id in sorted(ids, key=int)]
    starts = [job["started"] for job in jobs]
    assert starts == sorted(starts)
    assert max(int(Path(job["output"]).read_text()) for job in jobs) <= 2


def test_a_job_is_found_by_its_comment(queue):
    job_id = queue.submit("sleep 600", "--comment=tag-1")
    queue.submit("sleep 600", "--comment=tag-2")
    assert list(queue.jobs("--comment=tag-1")) == [job_id]


def test_a_job_has_the_umask_of_its_submit(queue):
    blocker = queue.submit("sleep 600", "--slots=2")
    done = subprocess.run(
        ["sh", "-c", 'umask 027; exec "$@"', "sh", *COMMAND, "submit"],
        env=queue.environment,
        input="#!/bin/sh\numask\n",
        capture_output=True,
        text=True,
    )
    queue.run("cancel", blocker)
    job_id = done.stdout.strip()
    queue.until(job_id, "COMPLETED")
    assert queue.output(job_id) == "0027\n"


def test_unknown_jobs_are_simply_not_listed(queue):
    assert queue.jobs("99") == {}


def test_wait_returns_the_highest_exit_status_or_says_that_time_is_up(queue):
    jobs = [queue.submit("exit 2"), queue.submit("kill -9 $$")]
    assert queue.run("wait", *jobs).returncode == 137
    slow = queue.submit("sleep 600")
    assert queue.run("wait", "--timeout=0.2", slow).returncode == 124


def test_ended_jobs_are_forgotten_after_a_while(queue):
    old = queue.submit("true")
    queue.until(old, "COMPLETED")
    new = queue.submit("true", BATCHSPAWNER_QUEUE_KEEP="0")
    queue.until(new, "COMPLETED")
    assert list(queue.jobs("--all")) == [new]
    assert not (queue.folder / "jobs" / old).exists()


def test_everything_in_the_folder_is_private(queue):
    job_id = queue.submit("true")
    queue.until(job_id, "COMPLETED")
    assert [path for path in queue.folder.rglob("*") if path.stat().st_mode & 0o077] == []
    assert queue.folder.stat().st_mode & 0o777 == 0o700


def test_folders_above_a_new_queue_are_private(tmp_path, group_umask):
    made = folder.state_folder(str(tmp_path / "state" / "queue"))
    assert [mode(one) for one in (made, made.parent)] == [0o700] * 2


def test_the_folder_above_the_queue_of_an_earlier_release_is_closed(tmp_path, monkeypatch):
    monkeypatch.delenv("BATCHSPAWNER_QUEUE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = folder.state_folder()
    assert made.parent == tmp_path / "batchspawner"
    made.parent.chmod(0o777)
    tmp_path.chmod(0o775)
    assert folder.state_folder() == made
    assert [mode(one) for one in (made, made.parent, tmp_path)] == [0o700, 0o755, 0o775]


@pytest.mark.parametrize("above", [1, 2])
def test_a_folder_below_one_in_which_everybody_writes_is_refused(queue, above):
    place = queue.folder / "a" / "queue"
    place.mkdir(mode=0o700, parents=True)
    open_one = place.parents[above - 1]
    open_one.chmod(0o777)
    done = queue.run("--state", str(place), "query")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"batchspawner-queue: others may replace the queue's folder {place}; "
        f"run: chmod go-w {open_one}\n"
    )
    # As the folders of temporary files are.
    open_one.chmod(0o1777)
    assert queue.run("--state", str(place), "query").returncode == 0


@pytest.mark.parametrize("mode", [0o755, 0o740, 0o720, 0o710, 0o704, 0o702, 0o701])
def test_a_folder_that_others_may_enter_is_refused(queue, mode):
    queue.folder.mkdir()
    queue.folder.chmod(mode)
    done = queue.run("query")
    assert done.returncode == 1
    assert f"run: chmod 700 {queue.folder}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_folder_of_another_user_is_refused(queue):
    queue.folder.mkdir(mode=0o700)
    os.chown(queue.folder, 12345, 12345)
    done = queue.run("query")
    assert (done.returncode, "belongs to another user" in done.stderr) == (1, True)


def test_a_damaged_file_is_an_error_and_no_empty_list(queue):
    queue.until(queue.submit("true"))
    (queue.folder / "queue.sqlite").write_text("not a database, but long enough to be read as one")
    done = queue.run("query")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot use the queue's file" in done.stderr


def test_a_file_that_is_damaged_further_down_is_an_error_too(queue):
    queue.until(queue.submit("true"))
    file = queue.folder / "queue.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    done = queue.run("query")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("batchspawner-queue: the queue does not work")


def test_the_command_starts_fast():
    command = [sys.executable, "-X", "importtime", "-m", "batchspawner.localqueue", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    for heavy in ("asyncio", "jupyterhub", "traitlets", "jinja2", "concurrent.futures"):
        assert f" {heavy}\n" not in done.stderr


@pytest.fixture
def account(tmp_path, monkeypatch):
    """An account with a home, whose environment says nothing of the queue."""
    for name in ("BATCHSPAWNER_QUEUE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "account"
    entry = pwd.struct_passwd((*pwd.getpwuid(os.geteuid())[:5], str(home), "/bin/sh"))
    monkeypatch.setattr(folder.pwd, "getpwuid", lambda _: entry)
    return home / ".local/state/batchspawner/queue"


def test_the_queue_lies_in_home(account, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder.state_folder() == tmp_path / ".local/state/batchspawner/queue"


def test_a_home_of_somebody_else_is_not_used(account, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    uid = tmp_path.stat().st_uid
    monkeypatch.setattr(folder.os, "geteuid", lambda: uid + 1)
    assert folder.default_folder() == account


def test_a_user_without_a_home_has_to_name_a_folder(account, monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(folder.pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    with pytest.raises(folder.QueueError, match="this user has no home"):
        folder.state_folder()


async def test_a_hub_and_its_jobs_have_the_same_queue_whatever_their_homes(tmp_path, monkeypatch):
    for name in ("BATCHSPAWNER_QUEUE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BATCHSPAWNER_QUEUE_GRACE", "0")
    spawner = make_spawner(LocalQueueSpawner, cmd=["sleep", "600"], req_homedir=str(tmp_path))
    try:
        assert spawner.get_env()["HOME"] != str(tmp_path)
        await spawner.submit_batch_script()
        jobs = tmp_path / ".local/state/batchspawner/queue/jobs"
        assert (jobs / spawner.job_id).is_dir()
        assert await spawner.poll() is None
        await spawner.stop()
        assert await spawner.poll() is not None
    finally:
        spawner.clear_state()
        close_databases()
