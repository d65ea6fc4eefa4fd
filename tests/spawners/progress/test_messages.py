"""What a waiting user reads, whole sentences."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from batchspawner.jobs import JobInfo, JobState
from batchspawner.schedulers.slurm.scheduler import Slurm
from batchspawner.spawners.progress.messages import (
    QueueEstimate,
    describe_request,
    describe_start,
    describe_submit,
    requested_resources,
)
from batchspawner.spawners.server_job import ServerJob
from batchspawner.units import say_duration, say_minutes


def told(state=JobState.PENDING, estimate=None, port=0, **facts) -> tuple[int, str]:
    spawner = SimpleNamespace(
        job=ServerJob(id="12"),
        port=port,
        batchspawner_singleuser_cmd="batchspawner-singleuser",
        hub=SimpleNamespace(api_url="http://hub:8081/hub/api"),
    )
    status = JobInfo("12", state, **facts)
    description = describe_start(spawner, Slurm(), status, estimate or QueueEstimate())
    return description.percent, description.text


def test_a_limit_is_shown_with_what_to_do():
    assert told(reason="QOSMaxCpuPerUserLimit") == (
        20,
        (
            "Job 12 waits in the queue: you already use as many cores as one user may have here "
            "at a time. Stop another server or job of yours, or ask for less. (Slurm says: "
            "QOSMaxCpuPerUserLimit)"
        ),
    )


def test_the_cores_of_a_user_are_shown_if_they_are_the_limit():
    estimate = QueueEstimate(cores=(64, 64))
    assert told(reason="QOSMaxCpuPerUserLimit", estimate=estimate)[1] == (
        "Job 12 waits in the queue: you already use as many cores as one user may have here at a "
        "time. You use 64 of 64 cores now. Stop another server or job of yours, or ask for less. "
        "(Slurm says: QOSMaxCpuPerUserLimit)"
    )


def test_place_expected_start_and_median_wait_are_shown_if_they_are_known():
    estimate = QueueEstimate(ahead=3, median_wait_s=170.0)
    assert told(reason="Priority", estimate=estimate, expected_start=time.time() + 1230) == (
        20,
        (
            "Job 12 waits in the queue: jobs that come before it wait, too. 3 jobs wait before "
            "it. It is expected to start in about 20 minutes. Usually the wait is about 3 "
            "minutes here. (Slurm says: Priority)"
        ),
    )


def test_nothing_is_promised_of_a_job_that_does_not_start_by_waiting():
    estimate = QueueEstimate(ahead=3, median_wait_s=170.0)
    message = told(JobState.HELD, reason="JobHeldUser", estimate=estimate)[1]
    assert message == (
        "Job 12 is held: you, or a program of yours, put it on hold. Release it (scontrol "
        "release), or stop this server and start it again. (Slurm says: JobHeldUser)"
    )


def test_an_expected_start_that_has_passed_is_not_shown():
    assert told(expected_start=time.time() - 5)[1] == "Job 12 waits in the queue"


def test_a_job_that_is_next_reads_so():
    assert told(estimate=QueueEstimate(ahead=0))[1] == (
        "Job 12 waits in the queue. It is the next one in its queue"
    )


def test_a_running_job_is_shown_with_its_node():
    assert told(JobState.RUNNING, host="n7") == (60, "Job 12 runs on n7; its server is starting")


def test_a_server_that_does_not_report_for_long_is_shown_with_where_to_look():
    percent, message = told(JobState.RUNNING, host="n7", estimate=QueueEstimate(running_s=90))
    assert percent == 60
    assert "the node must reach http://hub:8081/hub/api and find batchspawner-single" in message


@pytest.mark.parametrize(
    ("unanswered_s", "more"),
    [
        (0, ""),
        (59, ""),
        (200, ". Slurm has not answered for about 3 minutes; this is what was known before"),
    ],
)
def test_the_age_of_a_status_is_shown_while_the_scheduler_does_not_answer(unanswered_s, more):
    estimate = QueueEstimate(unanswered_s=unanswered_s)
    assert told(estimate=estimate)[1] == f"Job 12 waits in the queue{more}"


def test_a_server_that_has_reported_is_nearly_there():
    assert told(JobState.RUNNING, port=4321) == (90, "Job 12 runs, and its server is starting")


def test_the_requested_resources_are_shown_with_the_submit():
    asked = {
        "partition": "gpu",
        "queue": "",
        "nprocs": "1",
        "memory": "4G",
        "ngpus": "2",
        "runtime": "8:00:00",
        "account": "",
        "qos": "",
    }
    requested = requested_resources(asked)
    assert requested == {
        "queue": "gpu",
        "cores": "1",
        "memory": "4G",
        "gpus": "2",
        "runtime": "8:00:00",
    }
    assert describe_request("12", "Slurm", requested) == (
        "Job 12 is submitted to Slurm: queue gpu, 1 core, 4G of memory, 2 GPUs, at most 8:00:00 "
        "of time"
    )
    assert describe_request("12", "Slurm", {}) == "Job 12 is submitted to Slurm"


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (0, "Submitting the job to Slurm"),
        (1, "Submitting the job to Slurm. 1 other submit comes first"),
        (7, "Submitting the job to Slurm. 7 other submits come first"),
    ],
)
def test_a_submit_shows_how_many_come_before_it(ahead, text):
    assert describe_submit(ahead, "Slurm").text == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (20, "about a minute"),
        (170, "about 3 minutes"),
        (1230, "about 20 minutes"),
        (5700, "about 2 hours"),
        (4000, "about 65 minutes"),
        (86400, "about 24 hours"),
        (200000, "about 2 days"),
    ],
)
def test_times_are_rounded_to_what_one_can_know(seconds, text):
    assert say_minutes(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (300, "5 minutes"),
        (7200, "2 hours"),
        (86400, "1 day"),
        (5400, "90 minutes"),
    ],
)
def test_a_limit_is_said_exactly(seconds, text):
    assert say_duration(seconds) == text


def test_what_has_changed_has_another_key_and_what_has_only_passed_has_not():
    def keys(**facts):
        spawner = SimpleNamespace(job=ServerJob(id="12"), port=0)
        status = JobInfo("12", JobState.PENDING, **facts)
        told = describe_start(spawner, Slurm(), status, QueueEstimate(median_wait_s=170.0))
        return {one.key for one in told.sentences()}

    start = 600 * round(time.time() / 600) + 6000
    assert keys(expected_start=start) == keys(expected_start=start + 30)
    assert keys(expected_start=start) != keys(expected_start=start + 3600)
