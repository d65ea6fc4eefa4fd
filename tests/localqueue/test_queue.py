"""The embedded queue, through its command, as a person uses it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hubs import wait_for

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}


class Queue:
    def __init__(self, folder: Path, slots: int) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "BATCHSPAWNER_QUEUE_DIR": str(folder),
            "BATCHSPAWNER_QUEUE_SLOTS": str(slots),
            "BATCHSPAWNER_QUEUE_GRACE": "0.5",
        }

    def run(self, *argv: str, script: str = "", **environment: str):
        return subprocess.run(
            [sys.executable, "-m", "batchspawner.localqueue", *map(str, argv)],
            env={**self.environment, **environment}, input=script, capture_output=True, text=True,
            timeout=60, cwd=self.folder.parent,
        )  # fmt: skip

    def submit(self, body: str, *options: str, **environment: str) -> str:
        done = self.run("submit", *options, script=f"#!/bin/sh\n{body}\n", **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def jobs(self, *argv: str) -> dict[str, dict]:
        done = self.run("query", *argv)
        assert done.returncode == 0, done.stderr
        return {job["id"]: job for job in json.loads(done.stdout)["jobs"]}

    def job(self, job_id: str) -> dict:
        return self.jobs(job_id)[job_id]

    def until(self, job_id: str, *states: str) -> dict:
        def look():
            job = self.job(job_id)
            return job if job["state"] in states else None

        return wait_for(look, 20, f"job {job_id} to be {states}")

    def output(self, job_id: str) -> str:
        return Path(self.job(job_id)["output"]).read_text()


@pytest.fixture
def queue(tmp_path):
    one = Queue(tmp_path / "queue", slots=2)
    yield one
    with contextlib.suppress(AssertionError):
        left = list(one.jobs())
        if left:
            one.run("cancel", *left)
            one.run("wait", "--timeout", "20", *left)


def test_a_job_runs_and_its_end_is_known(queue):
    job_id = queue.submit("echo out; echo err >&2; exit 3", "--name=x")
    job = queue.until(job_id, *ENDED)
    assert (job["state"], job["exit_code"], job["signal"]) == ("FAILED", 3, None)
    assert (job["name"], job["host"], job["slots"]) == ("x", "127.0.0.1", 1)
    assert job["submitted"] <= job["started"] <= job["ended"]
    assert queue.output(job_id) == "out\nerr\n"


def test_a_job_has_the_environment_and_the_folder_of_its_submit(queue, tmp_path):
    job_id = queue.submit('echo "$SECRET" "$BATCHSPAWNER_QUEUE_JOB_ID"; pwd', SECRET="a\nb")
    queue.until(job_id, "COMPLETED")
    assert queue.output(job_id) == f"a\nb {job_id}\n{tmp_path}\n"


def test_options_stand_in_the_script_and_the_command_line_rules(queue, tmp_path):
    script = (
        "#!/bin/sh\n# a comment\n\n#QUEUE --name='a b' --slots=2\n"
        f"#QUEUE --output={tmp_path}/%j.log\nexit\n#QUEUE --slots=9\n"
    )
    done = queue.run("submit", "--name=c", script=script)
    job = queue.until(done.stdout.strip(), "COMPLETED")
    assert (job["name"], job["slots"], job["output"]) == ("c", 2, f"{tmp_path}/{job['id']}.log")


def test_jobs_beyond_the_slots_wait_in_order(queue):
    first = queue.submit("sleep 60")
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


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no interpreter\n", "must begin with #!"),
        ("", "must begin with #!"),
        ("#!/bin/sh\n#QUEUE --colour=red\n", "line 2 of the script, '#QUEUE --colour=red'"),
        ("#!/bin/sh\n#QUEUE --walltime=soon\n", "--walltime: 'soon' is not allowed"),
        ("#!/bin/sh\n#QUEUE --slots=0\n", "--slots: '0' is not allowed"),
        ("#!/bin/sh\n#QUEUE --name='\n", "line 2 of the script"),
    ],
)
def test_a_script_that_is_not_understood_is_refused(queue, script, said):
    done = queue.run("submit", script=script)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert queue.jobs("--all") == {}


def test_the_walltime_ends_a_job_that_ignores_it(queue):
    job_id = queue.submit("trap '' TERM; while :; do sleep 0.1; done", "--walltime=0:01")
    job = queue.until(job_id, *ENDED)
    assert (job["state"], job["signal"]) == ("TIMEOUT", signal.SIGKILL)
    assert job["reason"] == "it reached its walltime of 1 s"


def test_a_cancelled_job_may_tidy_up(queue):
    job_id = queue.submit("trap 'echo tidy; exit 0' TERM; echo on; while :; do sleep 0.05; done")
    wait_for(lambda: "on" in queue.output(job_id), 10, "the trap")
    queue.run("cancel", job_id)
    assert queue.until(job_id, *ENDED)["state"] == "CANCELLED"
    assert queue.output(job_id).splitlines()[-1] == "tidy"


def test_a_waiting_job_is_cancelled_at_once(queue):
    blocker = queue.submit("sleep 60", "--slots=2")
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


def test_a_signal_reaches_the_job(queue):
    job_id = queue.submit("trap 'echo got; exit 5' USR1; echo on; while :; do sleep 0.05; done")
    wait_for(lambda: "on" in queue.output(job_id), 10, "the trap")
    assert queue.run("signal", job_id, "USR1").returncode == 0
    assert queue.until(job_id, *ENDED)["exit_code"] == 5
    late = queue.run("signal", job_id, "15")
    assert (late.returncode, late.stderr) == (1, f"batchspawner-queue: job {job_id} does not run\n")


def test_nothing_of_a_job_outlives_it(queue, tmp_path):
    job_id = queue.submit(f"setsid sleep 300 & echo $! > {tmp_path}/pid; sleep 0.2")
    queue.until(job_id, "COMPLETED")
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not _runs(pid), 5, "the end of the background process")


def test_a_job_that_a_job_submits_outlives_it(queue):
    queue_command = f"{sys.executable} -m batchspawner.localqueue"
    outer = queue.submit(f"printf '#!/bin/sh\\nsleep 1\\n' | {queue_command} submit")
    queue.until(outer, "COMPLETED")
    inner = queue.output(outer).strip()
    assert queue.until(inner, *ENDED)["state"] == "COMPLETED"


def test_a_supervisor_that_is_killed_is_noticed_and_its_job_ended(queue, tmp_path):
    job_id = queue.submit(f"echo $PPID $$ > {tmp_path}/pids; sleep 300")
    text = wait_for(lambda: _read(tmp_path / "pids"), 10, "the job")
    supervisor, script = map(int, text.split())
    waiting = queue.submit("true", "--slots=2")
    os.kill(supervisor, signal.SIGKILL)
    job = queue.until(job_id, *ENDED)
    assert job["state"] == "NODE_FAIL"
    assert "supervisor was killed" in job["reason"]
    wait_for(lambda: not _runs(script), 5, "the end of the script")
    assert queue.until(waiting, *ENDED)["state"] == "COMPLETED"


def test_an_interpreter_that_is_not_there_fails_the_job(queue):
    done = queue.run("submit", script="#!/no/such/shell\n")
    job = queue.until(done.stdout.strip(), *ENDED)
    assert (job["state"], job["exit_code"]) == ("FAILED", 127)
    assert "No such file" in job["reason"]


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
    job_id = queue.submit("sleep 60", "--comment=tag-1")
    queue.submit("sleep 60", "--comment=tag-2")
    assert list(queue.jobs("--comment=tag-1")) == [job_id]


def test_unknown_jobs_are_simply_not_listed(queue):
    assert queue.jobs("99") == {}


def test_wait_returns_the_highest_exit_status_or_says_that_time_is_up(queue):
    jobs = [queue.submit("exit 2"), queue.submit("kill -9 $$")]
    assert queue.run("wait", *jobs).returncode == 137
    slow = queue.submit("sleep 60")
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


def test_a_folder_that_others_may_enter_is_refused(queue):
    queue.folder.mkdir(mode=0o755)
    queue.folder.chmod(0o755)
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
    queue.submit("true")
    (queue.folder / "queue.sqlite").write_text("not a database, but long enough to be read as one")
    done = queue.run("query")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot use the queue's file" in done.stderr


def test_the_command_starts_fast():
    command = [sys.executable, "-X", "importtime", "-m", "batchspawner.localqueue", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    for heavy in ("asyncio", "jupyterhub", "traitlets", "jinja2", "concurrent.futures"):
        assert f" {heavy}\n" not in done.stderr


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
