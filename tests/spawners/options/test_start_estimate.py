"""The estimate of a start in the form: by the scheduler, by what is free, by earlier waits."""

from __future__ import annotations

import re
import time

import pytest

from batchspawner import SlurmSpawner
from batchspawner.client import expected_start
from batchspawner.commands import CommandResult
from batchspawner.errors import SchedulerUnavailable, SubmitError
from batchspawner.queues import Queue
from batchspawner.spawners.options.estimate_words import estimate_message
from batchspawner.spawners.options.queue_info import QueueInfo
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.spawners.options.start_estimate import StartEstimate
from batchspawner.spawners.progress.wait_statistics import forget_waits, note_wait
from batchspawner.spawners.traits import options
from tests.spawners.site import make_spawner
from wrapspawner import ProfilesSpawner

FULL = Queue("full", is_default=True, cores=8, free_cores=0, all_cores=16, runtime=86400)
IDLE = Queue("idle", cores=8, free_cores=8, all_cores=16, runtime=86400)
HOUR = 3600


class FakeSlurm:
    """A Slurm whose queue "full" has jobs before ours, for an hour; it notes what it was asked."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self.refuses = ""
        self.is_down = False

    async def query(self, _scheduler, command, _runner):
        assert command.argv == ("sbatch", "--test-only")
        self.scripts.append(command.input)
        if self.is_down:
            raise SchedulerUnavailable("no answer")
        if self.refuses:
            raise SubmitError("refused", CommandResult(command.argv, 1, "", self.refuses))
        busy = "--partition=full" in command.input and "--time=1:00:00" not in command.input
        return time.time() + (HOUR if busy else 0)


@pytest.fixture(autouse=True)
def slurm_says(monkeypatch):
    async def info(*_):
        return QueueInfo((FULL, IDLE), 1.0)

    one = FakeSlurm()
    monkeypatch.setattr(options, "query_queue_info", info)
    monkeypatch.setattr(expected_start, "query", one.query)
    yield one
    forget_waits()


def slurm(**traits):
    config = {"resource_form": True, "exec_prefix": "", **traits}
    return make_spawner(SlurmSpawner, {"SlurmSpawner": config})


def of_another_user(**traits):
    spawner = slurm(**traits)
    spawner.user.name = "daemon"
    return spawner


def form(**fields):
    return {name: [value] for name, value in fields.items()}


async def message(spawner, **fields):
    return estimate_message(await spawner.start_estimate(form(**fields)))


async def test_a_start_at_once_is_said_so(slurm_says):
    assert await message(slurm(), queue="idle") == {"text": "It would start at once."}
    assert re.findall("--partition=.*", slurm_says.scripts[0]) == ["--partition=idle"]


async def test_a_wait_is_said_with_a_queue_that_starts_now():
    assert await message(slurm(), queue="full") == {
        "text": "It would start in about 60 minutes.",
        "suggestion": "With queue idle it would start at once.",
        "set": {"queue": "idle"},
    }


async def test_without_another_queue_a_shorter_time_is_suggested_if_it_helps():
    spawner = slurm(queue_limits={"full": {}})
    assert (await message(spawner, queue="full", runtime="8h"))["set"] == {"runtime": "1:00:00"}
    assert "set" not in await message(spawner, queue="full", runtime="30m")


async def test_what_is_asked_starts_nothing_and_has_no_secret(slurm_says):
    spawner = slurm(req_prologue="secret prologue", req_epilogue="secret epilogue")
    await spawner.start_estimate(form(queue="idle"))
    (script,) = slurm_says.scripts
    assert not re.search("secret|batchspawner-singleuser|TOKEN=", script)
    assert spawner.chosen is None
    assert (spawner.job_id, spawner.job_tag) == ("", "")


async def test_a_question_leaves_the_spawner_as_it_was(slurm_says):
    spawner = slurm()
    await spawner.start_estimate(form(queue="idle"))
    assert len(slurm_says.scripts) == 1
    spawner.environment = {"SET_LATER": "1"}
    await spawner.take_options({"queue": "idle"})
    assert "SET_LATER" in spawner.script_variables()["keepvars"]


async def test_users_may_ask_only_for_what_the_form_accepts(slurm_says):
    for wrong in ({"queue": "root"}, {"prologue": "curl evil"}, {"nprocs": "9"}):
        with pytest.raises(OptionsRefused):
            await slurm().start_estimate(form(**wrong))
    assert slurm_says.scripts == []


async def test_a_profile_keeps_what_it_sets_and_refuses_what_is_not_its_own(slurm_says):
    profile = {
        "display_name": "One",
        "spawner": SlurmSpawner,
        "override": {"resource_form": True, "req_queue": "full", "exec_prefix": ""},
    }
    spawner = make_spawner(ProfilesSpawner, {"ProfilesSpawner": {"profiles": [profile]}})
    found = await message(spawner, profile="one", **{"one--nprocs": "2"})
    assert found["text"] == "It would start in about 60 minutes."
    assert found["set"] == {"runtime": "1:00:00"}
    assert re.findall("--(?:partition|cpus).*", slurm_says.scripts[0]) == [
        "--partition=full",
        "--cpus-per-task=2",
    ]
    for wrong in ({"one--queue": "idle"}, {"profile": "two"}):
        with pytest.raises(OptionsRefused):
            await spawner.start_estimate(form(**{"profile": "one", **wrong}))
    assert spawner.child_spawner is None


async def test_users_who_ask_for_the_same_share_one_answer(slurm_says):
    for _ in range(50):
        await message(slurm(), queue="idle")
    assert len(slurm_says.scripts) == 1
    await message(slurm(), queue="idle", nprocs="2")
    assert len(slurm_says.scripts) == 2


async def test_nobody_asks_the_scheduler_too_often(slurm_says, monkeypatch):
    monkeypatch.setattr(expected_start, "_QUESTION_INTERVAL_S", 1e6)
    spawner = slurm(queue_limits={"idle": {"nprocs": 8, "memory": "64G"}})
    for memory in range(1, 40):
        await message(spawner, queue="idle", memory=f"{memory}G")
    assert len(slurm_says.scripts) == 5
    other = of_another_user()
    for memory in range(1, 40):
        await message(other, queue="idle", memory=f"{memory}M")
    assert len(slurm_says.scripts) == 10


async def test_a_refusal_is_in_the_schedulers_words_and_for_one_user_only(slurm_says):
    slurm_says.refuses = "Invalid account"
    said = await message(slurm(queue_limits={"idle": {}}), queue="idle", runtime="1h")
    assert said == {"text": "The scheduler would refuse this: Invalid account"}
    slurm_says.refuses = ""
    other = of_another_user(queue_limits={"idle": {}})
    assert await message(other, queue="idle", runtime="1h") == {"text": "It would start at once."}


async def test_while_the_scheduler_does_not_answer_free_amounts_and_earlier_waits_count(slurm_says):
    slurm_says.is_down = True
    said = await message(slurm(), queue="idle", nprocs="8")
    assert said == {"text": "What you ask for is free now."}
    spawner = slurm(queue_limits={"full": {}})
    assert await message(spawner, queue="full") == {"text": ""}
    for number in range(3):
        note_wait("slurm", "full", str(number), 600.0)
    assert (await message(spawner, queue="full"))["text"] == (
        "Servers in this queue have waited about 10 minutes lately."
    )


async def test_a_sites_own_commands_are_not_guessed_at(slurm_says):
    spawner = slurm(batch_submit_cmd="our-sbatch", queue_limits={"full": {}})
    assert await message(spawner, queue="full") == {"text": ""}
    assert slurm_says.scripts == []


async def test_a_site_can_do_without(slurm_says):
    spawner = slurm(estimate_starts=False)
    assert await message(spawner, queue="idle") == {"text": ""}
    assert "data-bs-estimate=" not in await spawner.get_options_form()
    assert 'data-bs-estimate="/hub/api/batchspawner/estimate/' in await slurm().get_options_form()
    assert slurm_says.scripts == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (StartEstimate(61.0, "scheduler"), "It would start in about 1 minute."),
        (StartEstimate(5 * HOUR, "scheduler"), "It would start in about 5 hours."),
        (StartEstimate(80 * HOUR, "scheduler"), "It would start in about 3 days."),
        (StartEstimate(None, "scheduler"), "It would not start at once."),
        (None, ""),
    ],
)
def test_an_estimate_in_words(found, text):
    assert estimate_message(found) == {"text": text}
