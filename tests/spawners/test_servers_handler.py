"""How often the log of a server is read for those who ask for it."""

from __future__ import annotations

import asyncio

import pytest

from batchspawner.spawners import servers_handler
from tests.spawners.test_life import serve


@pytest.fixture
async def served(spawner, cluster, monkeypatch, tmp_path):
    """A server that runs, whose log is counted each time that it is read."""
    await serve(spawner, cluster)
    log = tmp_path / "log"
    log.write_text("one\n")
    spawner.job.log_path = str(log)
    spawner.readings = 0
    read = spawner.backend.log_tail

    async def counted() -> str:
        spawner.readings += 1
        return await read()

    monkeypatch.setattr(spawner.backend, "log_tail", counted)
    monkeypatch.setattr(spawner.backend, "owner", lambda: log.stat().st_uid)
    return spawner


async def test_a_hundred_requests_for_a_log_read_it_once(served):
    asked = [servers_handler._log_tail(served) for _ in range(100)]
    assert set(await asyncio.gather(*asked)) == {"one"}
    assert served.readings == 1


async def test_a_log_is_read_again_when_the_answer_is_old(served, monkeypatch):
    monkeypatch.setattr(servers_handler, "_LOG_AGE_S", 0.0)
    await servers_handler._log_tail(served)
    with open(served.job.log_path, "a") as log:
        log.write("two\n")
    assert await servers_handler._log_tail(served) == "one\ntwo"
    assert served.readings == 2


async def test_the_log_of_the_next_job_is_another_one(served):
    await servers_handler._log_tail(served)
    served.job.identified("2")
    await servers_handler._log_tail(served)
    assert served.readings == 2


async def test_who_goes_away_leaves_the_answer_to_the_others(served):
    impatient = asyncio.ensure_future(servers_handler._log_tail(served))
    patient = asyncio.ensure_future(servers_handler._log_tail(served))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "one"
    assert served.readings == 1
