"""Jobs that a PBS server has moved to another one, and then only names in its history."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from batchspawner.client import BatchClient
from batchspawner.client.monitor import Monitor
from batchspawner.commands import CommandResult
from batchspawner.concurrency import within
from batchspawner.jobs import JobState
from batchspawner.schedulers.pbspro.scheduler import PBSPro

MOVED = {"Job_Name": "ours", "job_state": "M", "queue": "workq@pbs2"}
RUNNING = {"job_state": "R", "queue": "workq", "exec_host": "far1/0"}
FAILED = {"job_state": "F", "queue": "workq", "exec_host": "far1/0", "Exit_status": 3}
UNKNOWN = CommandResult(("qstat",), 153, "", "qstat: Unknown Job Id 12.pbs1\n")
DOWN = CommandResult(("qstat",), 255, "", "Connection refused\nqstat: cannot connect to server\n")


class Servers:
    """Runs qstat: each server shows of the job what is in `records`, by the end of the command."""

    is_this_user = True
    deleted = CommandResult(("qdel",), 0, "")

    def __init__(self, **records):
        self.records, self.commands = records, []

    async def run(self, argv, **more):
        self.commands.append(argv)
        if argv[0] == "qdel":
            return self.deleted
        if argv[-1] == "json":
            return CommandResult(argv, 0, '{"timestamp": 1}')
        server = argv[-1].rpartition("@")[2] if "@" in argv[-1] else "pbs1"
        record = self.records.get(server, UNKNOWN)
        if isinstance(record, CommandResult):
            return record
        if record["job_state"] in "MF" and "-x" not in argv:
            return UNKNOWN
        return CommandResult(argv, 0, json.dumps({"Jobs": {"12.pbs1": record}}))


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(PBSPro, "minimum_interval", 0.01)


async def ended(servers):
    watch = Monitor(PBSPro(), servers).watch("12.pbs1", 0.01)
    status = await within(30, watch.until(lambda one: one.is_final))
    return status.state, status.exit_code, status.gone


async def test_a_job_that_was_moved_is_followed_to_its_end():
    servers = Servers(pbs1=MOVED, pbs2=RUNNING)
    watch = Monitor(PBSPro(), servers).watch("12.pbs1", 0.01)
    status = await within(30, watch.change())
    assert (status.job_id, status.state, status.host) == ("12.pbs1", JobState.RUNNING, "far1")
    servers.records["pbs2"] = FAILED
    status = await within(30, watch.until(lambda one: one.is_final))
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


async def test_a_job_that_was_moved_twice_is_found_at_the_last_server():
    servers = Servers(pbs1=MOVED, pbs2={**MOVED, "queue": "night@pbs3"}, pbs3=FAILED)
    assert await ended(servers) == (JobState.FAILED, 3, False)


@pytest.mark.parametrize(
    "servers",
    [
        Servers(pbs1=MOVED),
        Servers(pbs1={**MOVED, "queue": "workq"}),
        Servers(pbs1={**MOVED, "queue": "workq@-x"}),
        Servers(pbs1=MOVED, pbs2={**MOVED, "queue": "workq@pbs1"}),
    ],
    ids=["unknown there", "untold", "no server's name", "in a circle"],
)
async def test_a_job_that_was_moved_and_is_nowhere_is_gone(servers):
    assert await ended(servers) == (JobState.UNKNOWN, None, True)


@pytest.mark.parametrize(
    "answer",
    [
        CommandResult(("qdel",), 0, ""),
        CommandResult(("qdel",), 153, "", "qdel: Unknown Job Id 12.pbs1\n"),
        CommandResult(("qdel",), 35, "", "qdel: Job has finished 12.pbs1\n"),
    ],
    ids=["deleted there", "not found there", "finished here"],
)
async def test_a_moved_job_has_ended_when_the_other_server_says_so_whatever_qdel_says(answer):
    """qdel finds a moved job by itself, as long as its own server knows where it is."""
    servers = Servers(pbs1=MOVED, pbs2=RUNNING)
    servers.deleted = answer
    client = BatchClient(PBSPro(), servers)
    watch = client.watch("12.pbs1", 0.01)
    await within(30, watch.until(lambda one: one.state is JobState.RUNNING))
    await client.cancel("12.pbs1")
    # Asked twice more, it still runs there.
    seen = len(servers.commands)
    while len(servers.commands) < seen + 12:
        await asyncio.sleep(0.01)
    assert (watch.status.state, watch.status.gone) == (JobState.RUNNING, False)
    servers.records["pbs2"] = {**FAILED, "substate": 91, "Exit_status": 271}
    status = await within(30, watch.until(lambda one: one.is_final))
    assert (status.state, status.gone) == (JobState.CANCELLED, False)


async def test_a_job_at_a_server_that_does_not_answer_is_alive_and_told_of_once(caplog):
    servers = Servers(pbs1=MOVED, pbs2=DOWN)
    watch = Monitor(PBSPro(), servers).watch("12.pbs1", 0.01)
    with caplog.at_level(logging.WARNING):
        status = await within(30, watch.change())
        assert (status.state, status.native, status.gone) == (JobState.UNKNOWN, "M", False)
        servers.records["pbs2"], seen = FAILED, len(servers.commands)
        status = await within(30, watch.until(lambda one: one.is_final))
    assert (status.state, len(servers.commands) > seen) == (JobState.FAILED, True)
    (message,) = caplog.messages
    assert message == (
        "PBS reports the state 'M' of job 12.pbs1, which does not tell whether it runs; "
        "the job is assumed to be alive"
    )
