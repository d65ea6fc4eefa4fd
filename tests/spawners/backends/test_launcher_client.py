"""What the Hub asks of the launcher, and how it reads the answer."""

from __future__ import annotations

import json

import pytest

from batchspawner.commands import CommandResult
from batchspawner.errors import SchedulerError, SchedulerUnavailable, SubmitError
from batchspawner.jobs import JobRequest
from batchspawner.schedulers.slurm.scheduler import Slurm
from batchspawner.spawners.backends.launcher_client import LauncherClient

LAUNCHER = "/opt/batchspawner-launcher"
TAG = "jh-0123456789ab"
SAID = "batchspawner-launcher: no"


class Runner:
    """Answer with what was prepared, and take note of what was run."""

    is_this_user = False

    def __init__(self) -> None:
        self.answer = (0, "", "")
        self.ran: list[tuple] = []

    async def run(self, argv, *, input="", environment=None, timeout=30.0):  # noqa: A002
        self.ran.append((tuple(argv), input, environment))
        return CommandResult(tuple(argv), *self.answer)

    @property
    def requests(self) -> list:
        return [json.loads(text) for argv, text, _ in self.ran if argv == (LAUNCHER,)]


@pytest.fixture
def owner():
    return Runner()


@pytest.fixture
def hub():
    return Runner()


@pytest.fixture
def client(owner, hub):
    return LauncherClient(Slurm(), LAUNCHER, "ada", owner, hub)


async def test_a_submit_hands_over_all_of_a_request_on_the_input(client, owner):
    owner.answer = (0, "12\n", "")
    request = JobRequest("#!/bin/sh\n", TAG, {"JUPYTERHUB_USER": "ada"})
    assert await client.submit(request) == "12"
    assert owner.requests == [
        {
            "verb": "submit",
            "tag": TAG,
            "script": "#!/bin/sh\n",
            "environment": {"JUPYTERHUB_USER": "ada"},
            "files": {},
        }
    ]
    assert [(argv, environment) for argv, _, environment in owner.ran] == [((LAUNCHER,), None)]


async def test_a_private_file_goes_with_the_next_submit(client, owner):
    owner.answer = (0, "12\n", "")
    await client.leave("/home/ada/.batchspawner", "jh-0123-1", "secret")
    assert owner.ran == []
    await client.submit(JobRequest("#!/bin/sh\n", TAG))
    assert owner.requests[0]["files"] == {"/home/ada/.batchspawner/jh-0123-1": "secret"}


async def test_an_argument_for_the_submit_command_is_refused(client, owner):
    with pytest.raises(SubmitError, match="The launcher fixes the submit command"):
        await client.submit(JobRequest("#!/bin/sh\n", TAG, arguments=("--uid=0",)))
    assert owner.ran == []


async def test_cancel_signal_and_log_name_the_job(client, owner):
    await client.cancel("12")
    await client.signal("12", 15)
    owner.answer = (0, "the end\n", "")
    assert await client.log_tail("12") == "the end\n"
    assert owner.requests == [
        {"verb": "cancel", "job_id": "12"},
        {"verb": "signal", "job_id": "12", "signal": 15},
        {"verb": "tail-log", "job_id": "12"},
    ]


async def test_what_was_in_a_log_before_the_job_is_left_out(client, owner):
    owner.answer = (0, '{"size": 7, "changed_at": 1600000000.25}\n', "")
    assert await client.log_before() == (7, 1600000000.25)
    await client.log_tail("12", 7, 1600000000.25)
    assert owner.requests == [
        {"verb": "stat-log"},
        {"verb": "tail-log", "job_id": "12", "size": 7, "changed_at": 1600000000.25},
    ]


@pytest.mark.parametrize(
    "answer", [(69, "", f"{SAID} such file"), (0, "", ""), (0, "[]", ""), (0, "{}", "")]
)
async def test_a_log_of_which_nothing_is_known_was_not_there_before(client, owner, answer):
    owner.answer = answer
    assert await client.log_before() == (0, 0.0)


@pytest.mark.parametrize("verb", ["cancel", "log_tail"])
async def test_no_text_but_a_job_id_reaches_the_launcher(client, owner, verb):
    with pytest.raises(ValueError, match="is not a job id of Slurm"):
        await getattr(client, verb)("12; id")
    assert owner.ran == []


async def test_listings_are_made_as_ourselves(client, owner, hub):
    hub.answer = (0, f"12|ada|{TAG}|name\n13|ben|{TAG}|name\n14|ada|other|name\n", "")
    assert await client.find(TAG) == ["12"]
    assert (owner.ran, [argv[0] for argv, _, _ in hub.ran]) == ([], ["squeue"])


@pytest.mark.parametrize("status", [77, 78])
async def test_a_refusal_of_the_launcher_is_shown_as_one(client, owner, status):
    owner.answer = (status, "", SAID)
    with pytest.raises(SubmitError, match="The launcher refused it") as refused:
        await client.submit(JobRequest("#!/bin/sh\n", TAG))
    assert not refused.value.transient
    with pytest.raises(SchedulerError, match=f"(?s)The launcher refused it.*{SAID}"):
        await client.cancel("12")


async def test_a_user_whom_sudo_does_not_know_reads_so(client, owner):
    owner.answer = (1, "", "sudo: a password is required")
    said = f"sudo does not let the Hub run {LAUNCHER} as ada"
    with pytest.raises(SubmitError, match=said):
        await client.submit(JobRequest("#!/bin/sh\n", TAG))
    with pytest.raises(SchedulerError, match=said):
        await client.cancel("12")


async def test_a_job_that_has_ended_is_cancelled_without_a_complaint(client, owner):
    owner.answer = (69, "", f"{SAID}, job 12 is not in the queue")
    await client.cancel("12")
    with pytest.raises(SchedulerError, match="not in the queue"):
        await client.signal("12", 15)


async def test_what_the_scheduler_says_is_read_as_always(client, owner):
    owner.answer = (1, "", "sbatch: error: Batch job submission failed: Invalid account")
    with pytest.raises(SubmitError, match="Slurm refused the job"):
        await client.submit(JobRequest("#!/bin/sh\n", TAG))
    owner.answer = (1, "", "scancel: error: Unable to contact slurm controller")
    with pytest.raises(SchedulerUnavailable):
        await client.cancel("12")


async def test_a_command_that_the_launcher_ended_says_nothing_about_the_job(client, owner):
    owner.answer = (75, "", f"{SAID}: /usr/bin/scancel timed out after 50 s")
    with pytest.raises(SchedulerUnavailable, match="Slurm did not answer"):
        await client.cancel("12")


async def test_a_log_that_cannot_be_shown_is_an_error(client, owner):
    owner.answer = (69, "", f"{SAID} such file")
    with pytest.raises(SchedulerError, match="The log of job 12 cannot be shown"):
        await client.log_tail("12")
