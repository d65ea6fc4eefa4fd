"""What a user reads of a server that did not come up: cause, log, what to do."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from batchspawner.errors import SubmitError
from batchspawner.jobs import JobInfo, JobState
from batchspawner.spawners.failures import job_log
from batchspawner.spawners.failures.causes import CRASHED, cause_of
from batchspawner.spawners.failures.job_log import (
    EarlierLog,
    JobLog,
    earlier_log,
    log_of_namesake,
    log_path,
    read_tail,
    redact,
    shorten,
)
from batchspawner.spawners.failures.spawn_failure import (
    FailureDetails,
    SpawnFailure,
    failure_of_submit,
)
from tests.spawners.site import TOKEN
from tests.spawners.test_life import begin


def ended(state=JobState.FAILED, **facts) -> JobInfo:
    return JobInfo("12", state, start=1.0, **facts)


@pytest.mark.parametrize(
    ("status", "log", "word"),
    [
        (ended(JobState.CANCELLED), "", "job_cancelled"),
        (ended(JobState.OUT_OF_MEMORY), "", "out_of_memory"),
        (ended(JobState.TIMEOUT), "", "walltime"),
        (ended(JobState.NODE_FAIL), "", "node_died"),
        (ended(JobState.PREEMPTED), "", "job_preempted"),
        (ended(exit_code=75), "", "hub_unreachable"),
        (ended(exit_code=69), "", "hub_unreachable"),
        (ended(exit_code=71), "", "no_port"),
        (ended(exit_code=127), "", "environment_missing"),
        (ended(exit_code=126), "", "environment_missing"),
        (ended(exit_code=78), "", "environment_missing"),
        (ended(exit_code=1), "bash: line 7: module: command not found", "environment_missing"),
        (ended(exit_code=1), "ModuleNotFoundError: No module named 'x'", "environment_missing"),
        (ended(exit_code=13), "execve(): /opt/x: Permission denied", "environment_missing"),
        (ended(exit_code=137), "slurmstepd: error: Detected 1 oom_kill event", "out_of_memory"),
        (ended(exit_code=1), "MemoryError", "out_of_memory"),
        (ended(exit_code=1), "segmentation fault", "job_failed"),
        (ended(JobState.COMPLETED, exit_code=0), "", "job_failed"),
        (ended(JobState.UNKNOWN, gone=True), "", "job_lost"),
        (
            ended(exit_code=143),
            "user 4711 has opened port 8888 in the server's place; it is ended",
            "port_taken",
        ),
    ],
)
def test_causes_are_told_apart(status, log, word):
    assert cause_of(status, log).word == word


SCRIPTS = {
    "slurm": "/home/ada/.jupyterhub.slurm.12.log",
    "local": "/home/ada/.jupyterhub.local.12.log",
    "oar": "/home/ada/.jupyterhub.oar.12.out",
    "gridengine": "/home/ada/.jupyterhub.sge.out",
    "htcondor": "/home/ada/.jupyterhub.condor.err",
    "lsf": "/home/ada/.jupyterhub.lsf.err",
    "pbspro": "/home/ada/.jupyterhub.pbs.err",
    "torque": "/home/ada/.jupyterhub.torque.err",
}


@pytest.mark.parametrize(("scheduler", "path"), SCRIPTS.items())
def test_the_log_is_where_the_template_sends_it(scheduler, path):
    script = (Path(__file__).parents[2] / "golden" / f"{scheduler}-minimal.sh").read_text()
    home = log_path(script, "12").rpartition("/")[0]
    assert log_path(script.replace(home, "/home/ada"), "12") == path


def test_a_script_that_says_nothing_of_its_output_has_no_known_log():
    assert log_path("#!/bin/sh\n#SBATCH --output=/dev/null\necho -o /tmp/x\n", "12") == ""


async def test_the_last_lines_of_a_log_are_shown(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n\n" for number in range(100)))
    tail = await read_tail(JobLog(str(log)), os.getuid())
    assert tail == "\n".join(f"line {number}" for number in range(85, 100))


def leave(log, text):
    """Write a log as an earlier job did, some time ago."""
    log.write_text(text)
    os.utime(log, (1600000000, 1600000000))


async def test_what_earlier_jobs_wrote_into_the_same_log_is_not_shown(tmp_path):
    log = tmp_path / "log"
    leave(log, "of an earlier job\n")
    began = JobLog(str(log), await earlier_log(f"#!/bin/sh\n#$ -o {log}\n"))
    assert await read_tail(began, os.getuid()) == ""
    with log.open("a") as file:
        file.write("of this one\n")
    assert await read_tail(began, os.getuid()) == "of this one"
    log.write_text("it was emptied\n")
    assert await read_tail(began, os.getuid()) == "it was emptied"


@pytest.mark.parametrize(
    ("directive", "shown"),
    [
        ("#OAR -E {}.%jobid%", "of this one"),
        ("#$ -o {}.$JOB_ID", "of this one"),
        ("#BSUB -o {}.%J", "of this one"),
        # These schedulers replace the log.
        ("#SBATCH --output={}.%j", "of an earlier job\nof this one"),
    ],
)
async def test_what_an_earlier_job_of_the_same_id_wrote_is_not_shown(tmp_path, directive, shown):
    script = f"#!/bin/sh\n{directive.format(tmp_path / 'log')}\n"
    log = tmp_path / "log.12"
    leave(log, "of an earlier job\n")
    began = JobLog(str(log), await log_of_namesake(script, "12", time.time()))
    with log.open("a") as file:
        file.write("of this one\n")
    assert await read_tail(began, os.getuid()) == shown


async def test_what_a_fast_job_has_written_before_its_log_is_looked_at_is_shown(tmp_path):
    began = time.time()
    (tmp_path / "log.12").write_text("of this one\n")
    found = await log_of_namesake(f"#OAR -E {tmp_path}/log.%jobid%\n", "12", began)
    assert found == EarlierLog()


@pytest.mark.parametrize("text", ["it failed\n", "it failed, and for another reason\n", "no\n"])
async def test_a_log_with_which_the_job_replaces_that_of_an_earlier_one_is_shown_whole(
    text, tmp_path
):
    log = tmp_path / "log"
    leave(log, "it failed\n")
    began = JobLog(str(log), await earlier_log(f"#!/bin/sh\n#PBS -o {log}\n"))
    assert await read_tail(began, os.getuid()) == ""
    log.write_text(text)
    assert await read_tail(began, os.getuid()) == text.strip()


async def test_a_log_that_is_not_the_users_own_file_is_not_read(tmp_path):
    secret, link = tmp_path / "secret", tmp_path / "log"
    secret.write_text("of somebody else")
    link.symlink_to(secret)
    assert await read_tail(JobLog(str(link)), os.getuid()) == ""
    assert await read_tail(JobLog(str(secret)), os.getuid() + 1) == ""
    os.mkfifo(tmp_path / "pipe")
    assert await read_tail(JobLog(str(tmp_path / "pipe")), os.getuid()) == ""
    assert await read_tail(JobLog(str(tmp_path / "none")), os.getuid()) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the token is abcd-efgh-1234", "the token is [hidden]"),
        ("JUPYTERHUB_API_TOKEN=xyzzy123", "JUPYTERHUB_API_TOKEN=[hidden]"),
        ("http://n7:8888/lab?token=xyzzy123&x=1", "http://n7:8888/lab?token=[hidden]&x=1"),
        ("Authorization: token xyzzy123", "Authorization: token [hidden]"),
        ("password: 'hunter22'", "password: '[hidden]'"),
        ("id 0123456789abcdef0123456789abcdef!", "id [hidden]!"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n", "[hidden]"),
        ("no tokens here: 12 of 34", "no tokens here: 12 of 34"),
    ],
)
def test_what_may_open_something_is_hidden(text, shown):
    assert redact(text, ["abcd-efgh-1234"]) == shown


HOSTILE_LOGS = {
    "names": "token" * 3276,
    "names, and a value": "token" * 3270 + "=" + "x" * 20,
    "names with blanks": "token \t" * 2340,
    "words of a JWT": "ey-" * 5461,
    "parts of a JWT": "eyaaaaaaaaaa." * 1260,
    "hexadecimal": "0123456789abcdef" * 1023 + "_",
    "keys": "-----BEGIN " * 1489,
    "ends of keys": "-----BEGIN A PRIVATE KEY-----" + "-----END " * 1800,
    "sequences": "\x1b]" * 8192,
    "open sequences": "\x1b[1;" * 4096,
}


@pytest.mark.parametrize("what", HOSTILE_LOGS)
def test_no_log_keeps_the_redaction_busy(what):
    text = HOSTILE_LOGS[what]
    small, large = (_steps(text[: len(text) // part]) for part in (16, 1))
    # Ten times what is linear: a quadratic one takes 256 times as long.
    assert large < 160 * max(small, 5e-5)


def _steps(text: str) -> float:
    """Return the seconds of processor time that it takes to redact a text, at best."""

    def once() -> float:
        began = time.process_time()
        shorten(text, ["abcd-efgh-1234"])
        return time.process_time() - began

    return min(once() for _ in range(5))


async def test_a_log_is_searched_for_secrets_beside_the_loop(tmp_path, monkeypatch):
    threads = []
    monkeypatch.setattr(
        job_log, "redact", lambda text, _: threads.append(threading.current_thread()) or text
    )
    log = tmp_path / "log"
    log.write_text("said\n")
    assert await read_tail(JobLog(str(log)), os.getuid()) == "said"
    assert threading.current_thread() not in threads
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07said", "said"),
        ("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq\x1b\\a\x1bcb", "ab"),
        ("10%\r100%\n", "10%\n100%"),
        ("over\x08\x08\x08\x08evil\x9b2J\x7f", "overevil2J"),
        ("\u202etxt.exe\u2066", "txt.exe"),
        ("tok\x1b[1men=xyzzy123", "token=[hidden]"),
        ("a\tb", "a\tb"),
    ],
)
def test_a_log_moves_no_cursor_where_it_is_shown(text, shown):
    assert shorten(text, []) == shown


def test_a_page_gets_all_of_it_and_every_foreign_text_escaped():
    details = FailureDetails(
        CRASHED, "<b>said</b>", "12", "/home/<ada>/log", "<script>alert(1)</script>"
    )
    failure = SpawnFailure(details=details)
    assert failure.jupyterhub_html_message == (
        "<strong>The job ended before its server was there.</strong><br>"
        "&lt;b&gt;said&lt;/b&gt;.<br>"
        "See the log for the reason. Start again; if it fails again, tell the administrator.<br>"
        "<small>Job 12. Its log is /home/&lt;ada&gt;/log.</small>"
        '<details open style="text-align:left"><summary>The end of its log</summary>'
        '<pre tabindex="0" style="white-space:pre-wrap">&lt;script&gt;alert(1)&lt;/script&gt;'
        "</pre></details>"
    )
    assert (
        str(failure)
        == failure.jupyterhub_message
        == (
            "The job ended before its server was there. <b>said</b>. See the log for the reason. "
            "Start again; if it fails again, tell the administrator. Job 12. Its log is "
            "/home/<ada>/log. It ends with:\n<script>alert(1)</script>"
        )
    )


def test_what_the_launcher_says_is_not_taken_for_the_schedulers_words():
    failure = failure_of_submit("Slurm", SubmitError("The launcher refused it. ada is nobody"))
    assert str(failure) == (
        "The job could not be submitted. The launcher refused it. ada is nobody. Try again later; "
        "if it stays so, tell the administrator."
    )


def test_jupyterhub_6_counts_failures_by_their_cause():
    pytest.importorskip("jupyterhub", minversion="6")
    from jupyterhub.spawner import SpawnException

    failure = SpawnFailure(details=FailureDetails(CRASHED, "said"))
    assert isinstance(failure, SpawnException)
    assert failure.reason == "job_failed"


async def test_a_failed_start_shows_the_end_of_its_log_without_the_token(
    spawner, cluster, tmp_path, monkeypatch
):
    log = tmp_path / "job.log"

    async def script(**_):
        return f"#!/bin/sh\n#SBATCH --output={log}\n"

    monkeypatch.setattr(spawner, "_get_batch_script", script)
    task = await begin(spawner)
    log.write_text(f"export JUPYTERHUB_API_TOKEN={TOKEN}\nbash: jupyterhub: command not found\n")
    cluster.set("1", JobState.FAILED, exit_code=1, start=1.0)
    with pytest.raises(SpawnFailure) as caught:
        await asyncio.wait_for(task, 5)
    assert caught.value.details.cause.word == "environment_missing"
    assert str(caught.value).endswith(
        f"Job 1. Its log is {log}. It ends with:\n"
        "export JUPYTERHUB_API_TOKEN=[hidden]\nbash: jupyterhub: command not found"
    )


async def test_a_report_that_the_hub_refused_is_not_taken_for_one_that_never_came(spawner, cluster):
    task = await begin(spawner)
    cluster.set("1", JobState.FAILED, exit_code=69, start=1.0)
    with pytest.raises(SpawnFailure) as caught:
        await asyncio.wait_for(task, 5)
    assert str(caught.value) == (
        "The Hub did not accept the job's report. The job ended: failed (exit status 69). See the "
        "log for the Hub's answer. Start again; if it fails again, tell the administrator. Job 1."
    )


async def test_a_start_that_takes_too_long_says_what_it_was_waiting_for(spawner, cluster):
    spawner.start_timeout = 1
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    with pytest.raises(SpawnFailure) as caught:
        await asyncio.wait_for(task, 5)
    assert str(caught.value) == (
        "The job did not start in time. After 1 s, the limit of this Hub: Job 1 waits in the "
        "queue: Resources. Start again when the queue is shorter, or ask for less. Job 1."
    )


async def test_a_job_that_runs_without_a_server_is_no_matter_of_the_queue(
    spawner, cluster, tmp_path
):
    spawner.start_timeout = 1
    task = await begin(spawner)
    spawner.job.submitted("1", str(tmp_path / "log"))
    (tmp_path / "log").write_text("Loading modules ...\n")
    cluster.run("1")
    with pytest.raises(SpawnFailure) as caught:
        await asyncio.wait_for(task, 5)
    assert caught.value.details.cause.word == "server_silent"
    assert str(caught.value).endswith("It ends with:\nLoading modules ...")


async def test_a_log_that_only_its_owner_may_read_is_asked_for_as_its_owner(spawner, cluster):
    task = await begin(spawner)

    async def log_tail(job_id: str, *_: float) -> str:
        return f"log of {job_id}\n\nno such module, {TOKEN}\n"

    spawner.backend.client.log_tail = log_tail
    cluster.set("1", JobState.FAILED, exit_code=3, start=1.0)
    with pytest.raises(SpawnFailure) as failed:
        await asyncio.wait_for(task, 5)
    assert failed.value.details.tail == "log of 1\nno such module, [hidden]"


async def test_a_log_that_cannot_be_read_in_time_delays_nothing(spawner, cluster):
    task = await begin(spawner)

    async def log_tail(*_: object) -> str:
        return await asyncio.get_running_loop().create_future()

    spawner.backend.client.log_tail = log_tail
    assert await asyncio.wait_for(spawner.backend.log_tail(0.05), 5) == ""
    task.cancel()
