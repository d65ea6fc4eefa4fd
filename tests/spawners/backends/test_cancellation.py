"""Stops of servers whose job cannot be cancelled at once: JupyterHub swallows what they raise."""

from __future__ import annotations

import asyncio
import logging

import pytest

from batchspawner import SlurmSpawner
from batchspawner.errors import TemplateError
from batchspawner.spawners.backends import cancellation
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.template_mistakes import _FORMAT_ADVICE
from tests.spawners.backends.test_command_backend import OldSite, Script
from tests.spawners.site import make_spawner
from tests.spawners.test_life import serve, until

LOG = logging.getLogger("tests.cancellation")

DENIED = RuntimeError("scancel: error: Access/permission denied")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(cancellation, "_RETRY_INTERVALS_S", (0.01,))


class Told(logging.Handler):
    """Collect warnings and errors; making a database takes the handlers of pytest away."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def told():
    """What the spawners of a test log."""
    handler = Told()
    LOG.addHandler(handler)
    yield handler.messages
    LOG.removeHandler(handler)


def serving(cls, *expected, **config):
    """Return a spawner with a job, and commands of its site's own in a class or a configuration."""
    spawner = make_spawner(cls, {cls.__name__: config})
    spawner.log = LOG
    spawner.job_id = "77"
    spawner.run_command = Script(*expected)
    return spawner


def slurm(cancel: str, *expected, **config):
    return serving(SlurmSpawner, *expected, exec_prefix="", batch_cancel_cmd=cancel, **config)


async def stop_for_good(spawner) -> None:
    """Stop a server as JupyterHub does, which forgets the job whatever comes of it."""
    try:
        await spawner.stop()
    finally:
        spawner.clear_state()


async def test_a_cancel_that_fails_is_logged_and_repeated(told):
    failed = ("^ end 77$", DENIED)
    spawner = serving(OldSite, failed, failed, ("^ end 77$", ""), ("^ ask 77$", ""))
    await stop_for_good(spawner)
    assert spawner.run_command.expected == []
    name = spawner.log_name
    assert told == [
        f"{name}: job 77 is not cancelled yet, it is tried again: {DENIED}",
        f"{name}: job 77 is not cancelled yet, it is tried again: {DENIED}",
        f"{name}: job 77 is cancelled now",
    ]


async def test_it_goes_on_when_jupyterhub_has_forgotten_the_server(monkeypatch, told):
    monkeypatch.setattr(cancellation, "_STOP_TIMEOUT_S", 0.0)
    spawner = serving(OldSite, ("^ end 77$", DENIED), ("^ end 77$", DENIED), ("^ end 77$", ""))
    with pytest.raises(RuntimeError, match="denied"):
        await stop_for_good(spawner)
    assert spawner.job_id == ""
    await until(lambda: not spawner.run_command.expected)
    await until(lambda: told[-1].endswith("job 77 is cancelled now"))


@pytest.mark.parametrize("own", ["scancel {jobid}", "scancel {{ jobid }}", "false"])
async def test_a_cancel_command_that_cannot_work_is_replaced_by_that_of_its_class(own, told):
    gone = RuntimeError("slurm_load_jobs error: Invalid job id specified")
    fails = [] if own == "scancel {jobid}" else [("^ (scancel|false)", RuntimeError("no job"))] * 2
    spawner = slurm(own, *fails, ("^ scancel 77$", ""), ("squeue -h -j 77", gone))
    await stop_for_good(spawner)
    assert spawner.run_command.expected == []
    why = "c.SlurmSpawner.batch_cancel_cmd, line 1: there is no variable 'jobid'"
    why = f"{why}; {_FORMAT_ADVICE}" if own == "scancel {jobid}" else "no job"
    assert told == [
        f"{spawner.log_name}: job 77 is not cancelled yet, it is tried again: {why}",
        f"{spawner.log_name}: job 77 is cancelled now",
    ]


async def test_a_job_of_a_scheduler_that_is_asked_otherwise_is_not_cancelled_by_its_bare_number(
    told,
):
    own = "squeue -M far -h -j {job_id} -o '%T %B'"
    spawner = slurm("scancel -M far {jobid}", batch_query_cmd=own)
    with pytest.raises(TemplateError, match="there is no variable 'jobid'"):
        await stop_for_good(spawner)
    (message,) = told
    assert message.startswith(f"{spawner.log_name}: job 77 is not cancelled, cancel it by hand: c.")


@pytest.mark.parametrize(
    "text",
    [
        "qdel: Unknown Job Id 77.head",
        "scancel: error: Kill job error on job id 77: Invalid job id specified",
        "Job <77> is not found",
        "qdel: Job has finished 77.head",
        "Job <77>: Job has already finished",
    ],
)
async def test_a_job_that_ended_meanwhile_needs_no_cancel(text, told):
    spawner = serving(OldSite, ("end 77", RuntimeError(text)), ("ask 77", ""))
    await stop_for_good(spawner)
    assert told == []


async def test_a_sites_own_method_that_fails_is_noticed_too(cluster, spawner, told):
    spawner.log = LOG
    await serve(spawner, cluster)

    async def cancel_batch_job():
        raise KeyError("portal")

    spawner.cancel_batch_job = cancel_batch_job
    await asyncio.wait_for(spawner.stop(), 10)
    assert cluster.ended["1"].state.name == "CANCELLED"
    assert told[:2] == [
        f"{spawner.log_name}: job 1 is not cancelled yet, it is tried again: KeyError: 'portal'",
        f"{spawner.log_name}: job 1 is cancelled now",
    ]


@pytest.mark.parametrize("text", ["bash: squeue: command not found", "sh: 1: squeue: not found"])
async def test_a_query_command_that_is_missing_ends_no_server(text):
    spawner = serving(OldSite, ("ask 77", RuntimeError(text)))
    assert await spawner.poll() is None


STRANGE = "State of 77: mostly harmless"
UNREAD = f"What batch_query_cmd printed contains no state that is known: {STRANGE!r}."


async def test_a_start_whose_query_cannot_be_read_says_what_was_answered_and_ends_its_job(told):
    spawner = serving(OldSite, ("^ sub", "77"), ("^ ask 77$", STRANGE), ("^ end 77$", ""))
    with pytest.raises(SpawnFailure) as caught:
        await spawner.start()
    assert (spawner.run_command.expected, spawner.job_id) == ([], "")
    assert UNREAD in caught.value.jupyterhub_message
    name = spawner.log_name
    assert told == [
        f"{name}: job 77 is neither pending nor running: {STRANGE!r}",
        f"{name}: job 77 is given up. {UNREAD}",
        f"{name}: job 77, which belongs to no server any more, is cancelled, unless it had ended",
    ]


async def test_a_server_whose_query_cannot_be_read_is_given_up_and_its_job_ended_after_a_grace(
    told,
):
    failed = ("^ ask 77$", RuntimeError("sudo: a password is required"))
    spawner = serving(OldSite, failed, failed, failed, ("^ end 77$", DENIED), orphan_grace=0.01)
    spawner.job.serving("cn7", 4321)
    assert [await spawner.poll() for _ in range(3)] == [None, None, 1]
    name, whose = spawner.log_name, "job 77, which belongs to no server any more,"
    silent = "batch_query_cmd failed again and again: 'sudo: a password is required'."
    await until(lambda: len(told) == 2)
    assert told == [
        f"{name}: job 77 is given up. {silent}",
        f"{name}: {whose} is not cancelled, cancel it by hand: {DENIED}",
    ]


@pytest.mark.parametrize("policy", ["report", "ignore"])
async def test_a_job_whose_query_cannot_be_read_is_left_alone_as_the_site_wishes(policy, told):
    spawner = serving(OldSite, ("^ ask 77$", STRANGE), orphan_policy=policy)
    assert await spawner.poll() == 1
    whose = f"{spawner.log_name}: job 77, which belongs to no server any more,"
    reported = f"{whose} may go on. Cancel it by hand; orphan_policy is 'report'"
    assert told[1:] == ([reported] if policy == "report" else [])


@pytest.mark.parametrize("answer", ["", RuntimeError("qstat: Unknown Job Id 77")])
async def test_a_job_that_is_said_to_be_gone_is_not_cancelled(answer, told):
    spawner = serving(OldSite, ("^ ask 77$", answer))
    assert await spawner.poll() == 1
    assert told == []
