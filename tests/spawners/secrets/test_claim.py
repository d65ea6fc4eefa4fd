"""What a job gets for its claim code, and what nobody else gets for it."""

from __future__ import annotations

import asyncio

import pytest
from jupyterhub import orm
from sqlalchemy.orm import object_session

from batchspawner.jobs import JobState
from batchspawner.spawners.secrets import exchange as exchange_module
from batchspawner.spawners.secrets.claim import Application, Claim, new_code, server_of
from batchspawner.spawners.secrets.exchange import ClaimRefused, exchange, promote
from tests.spawners.backends.test_command_backend import OldSite, scripted
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import TOKEN, restored, stored_state
from tests.spawners.test_life import begin, until

ME, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr(exchange_module, "_SCHEDULER_TIMEOUT_S", 0.2)


@pytest.fixture
async def running(spawner, cluster):
    """A spawner whose job has just begun to run, and has claimed nothing yet."""
    task = await begin(spawner)
    cluster.run(spawner.job_id)
    yield spawner
    task.cancel()


def code_of(cluster) -> str:
    return cluster.requests[-1][1]["JUPYTERHUB_API_TOKEN"]


def application(cluster, **more) -> Application:
    return Application(**{"code": code_of(cluster), "port": 4321, "claimant": ME, **more})


async def refusal(spawner, application) -> tuple[int, str]:
    with pytest.raises(ClaimRefused) as caught:
        await exchange(spawner, application)
    return caught.value.status, str(caught.value)


async def says(events, text: str) -> bool:
    """Wait until the page of the start says something."""
    try:
        async for event in events:
            if event["message"].startswith(text):
                return True
    finally:
        await events.aclose()
    return False


def test_a_code_says_whose_it_is_and_nothing_else_does():
    code = new_code(17)
    assert server_of(code) == 17
    assert [server_of(text) for text in ("", TOKEN, code + "x", "x" + code, code[1:])] == [None] * 5


async def test_nothing_secret_travels_with_the_job(running, cluster):
    ((script, environment),) = cluster.requests
    everything = script + str({**environment})
    assert TOKEN not in everything
    assert server_of(environment["JUPYTERHUB_API_TOKEN"]) == running.orm_spawner.id


async def test_the_database_holds_neither_the_code_nor_what_it_is_good_for(running, cluster):
    text = str(stored_state(running))
    assert code_of(cluster) not in text
    assert TOKEN not in text


async def test_a_code_is_good_for_the_token_and_reports_the_port(running, cluster):
    environment = await exchange(running, application(cluster))
    assert environment["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert stored_state(running)["reported_port"] == 4321


async def test_what_a_claim_hands_out_does_not_show_itself(running, cluster):
    environment = await exchange(running, application(cluster))
    assert TOKEN not in f"{environment} {environment!r}"


async def test_a_job_whose_answer_was_lost_gets_it_again(running, cluster):
    first = await exchange(running, application(cluster))
    assert await exchange(running, application(cluster)) == first
    assert running.job.alarm == ""


async def test_a_second_claim_is_refused_and_an_alarm(running, cluster, caplog):
    await exchange(running, application(cluster))
    status, text = await refusal(running, application(cluster, claimant=OTHER, port=6666))
    assert (status, text) == (403, "this code was used already; the use is logged as an alarm")
    assert stored_state(running)["reported_port"] == 4321
    alarm = "ALARM: the claim code of job 1 was used a second time"
    assert running.job.alarm.startswith(alarm)
    assert [r.levelname for r in caplog.records if alarm in r.getMessage()] == ["ERROR"]
    assert await asyncio.wait_for(says(running.progress(), alarm), 5)
    await asyncio.sleep(0.05)
    assert cluster.jobs["1"].state is JobState.RUNNING


async def test_a_second_claim_cancels_the_job_where_the_policy_says_so(running, cluster):
    running.second_claim = "cancel"
    await exchange(running, application(cluster))
    await refusal(running, application(cluster, claimant=OTHER))
    await until(lambda: cluster.ended)
    assert cluster.ended["1"].state is JobState.CANCELLED


async def test_of_two_claims_at_the_same_moment_one_gets_something(running, cluster):
    both = [application(cluster), application(cluster, claimant=OTHER)]
    answers = await asyncio.gather(*(exchange(running, a) for a in both), return_exceptions=True)
    assert sorted(isinstance(answer, ClaimRefused) for answer in answers) == [False, True]


async def test_a_job_that_dies_because_somebody_else_had_its_code_says_so(spawner, cluster):
    task = await begin(spawner)
    # It never gets as far as a host.
    cluster.run(spawner.job_id, host="")
    await exchange(spawner, application(cluster, claimant=OTHER))
    await refusal(spawner, application(cluster))
    cluster.set("1", JobState.FAILED, exit_code=69, start=1.0)
    with pytest.raises(RuntimeError, match="ALARM: the claim code of job 1 was used a second time"):
        await asyncio.wait_for(task, 5)


async def test_a_code_counts_only_while_its_job_runs(spawner, cluster):
    task = await begin(spawner)
    waits = await refusal(spawner, application(cluster))
    assert waits == (503, "the scheduler does not say yet that job 1 runs")
    task.cancel()
    cluster.set("1", JobState.CANCELLED)
    assert await refusal(spawner, application(cluster)) == (403, "job 1 has ended")
    assert "reported_port" not in stored_state(spawner)


async def test_a_code_is_worth_nothing_while_its_server_stops(running, cluster):
    running._stop_pending = True
    stops = (403, "the server is being stopped")
    assert await refusal(running, application(cluster)) == stops
    assert "reported_port" not in stored_state(running)
    running._stop_pending = False
    assert (await exchange(running, application(cluster)))["JUPYTERHUB_API_TOKEN"] == TOKEN
    running._stop_pending = True
    assert await refusal(running, application(cluster, claimant=OTHER)) == stops
    assert running.job.alarm == ""


async def test_a_server_that_stops_while_its_code_is_checked_gets_nothing(
    running, cluster, monkeypatch
):
    run = running.backend.run

    async def run_and_stop(**how):
        running._stop_pending = True
        return await run(**how)

    monkeypatch.setattr(running.backend, "run", run_and_stop)
    refused = await refusal(running, application(cluster))
    assert refused == (403, "the server is being stopped")
    assert "reported_port" not in stored_state(running)


async def test_a_code_counts_only_in_its_own_job(running, cluster):
    refused = await refusal(running, application(cluster, job_id="99"))
    assert refused == (403, "the code belongs to another job than 99")
    await exchange(running, application(cluster, job_id="1.batch.example.org"))


async def test_the_code_of_an_earlier_start_is_worth_nothing(running, cluster):
    refused = await refusal(running, application(cluster, code=new_code(running.orm_spawner.id)))
    assert refused == (403, "this code belongs to no server that is starting or running")
    running.clear_state()
    assert (await refusal(running, application(cluster)))[0] == 403


async def test_a_code_can_be_tied_to_the_host_of_the_job(spawner, cluster):
    spawner.claim_from = "host"
    task = await begin(spawner)
    cluster.run(spawner.job_id, host="127.0.0.1")
    refused = await refusal(spawner, application(cluster, address="10.1.1.1"))
    assert refused == (403, "job 1 does not run at 10.1.1.1")
    for address in ("127.0.0.1", "::ffff:127.0.0.1"):
        await exchange(spawner, application(cluster, address=address))
    task.cancel()


async def test_an_older_wrapper_has_its_code_made_the_token(running, cluster):
    session = object_session(running.orm_spawner)
    client = orm.OAuthClient(identifier="jupyterhub")
    row = orm.APIToken(user=running.orm_spawner.user, oauth_client=client)
    row.token = TOKEN
    session.add_all([client, row])
    session.commit()
    code = code_of(cluster)
    await promote(running, Application(code, 4321))
    assert orm.APIToken.find(session, TOKEN) is None
    assert orm.APIToken.find(session, code) is row
    assert running.api_token == code
    assert stored_state(running)["reported_port"] == 4321
    with pytest.raises(ClaimRefused, match="this code was used already"):
        await exchange(running, application(cluster, claimant=OTHER))


async def test_a_restarted_hub_knows_the_code_and_whether_it_was_used(running, cluster):
    again = restored(FakeSpawner, running.orm_spawner)
    assert (await exchange(again, application(cluster)))["JUPYTERHUB_API_TOKEN"] == TOKEN
    third = restored(FakeSpawner, running.orm_spawner)
    assert (await refusal(third, application(cluster, claimant=OTHER)))[0] == 403
    for one in (again, third):
        one.clear_state()


async def test_a_job_that_can_keep_no_code_may_use_its_own_once_more_in_its_next_run(
    running, cluster
):
    await exchange(running, application(cluster))
    cluster.set("1", JobState.PENDING, reason="requeued")
    cluster.set("1", JobState.RUNNING, host="node2", start=500.0)
    await exchange(running, application(cluster, claimant=OTHER, port=5555))
    assert stored_state(running)["reported_port"] == 5555
    assert (await refusal(running, application(cluster, claimant="c" * 64)))[0] == 403


async def test_the_next_run_of_a_job_has_a_code_of_its_own(running, cluster):
    second, third = new_code(running.orm_spawner.id), new_code(running.orm_spawner.id)
    await exchange(running, application(cluster, following=second))
    early = application(cluster, claimant=OTHER, code=second)
    assert (await refusal(running, early))[0] == 403
    cluster.set("1", JobState.RUNNING, host="node2", start=500.0)
    thief = application(cluster, claimant=OTHER)
    assert (await refusal(running, thief))[1].startswith("this code was used already")
    again = application(cluster, claimant=OTHER, code=second, following=third, port=5555)
    assert (await exchange(running, again))["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert stored_state(running)["reported_port"] == 5555
    assert await exchange(running, again)  # the answer was lost
    cluster.set("1", JobState.RUNNING, host="node1", start=900.0)
    for code in (code_of(cluster), second):
        late = application(cluster, claimant="c" * 64, code=code)
        assert (await refusal(running, late))[1].startswith("this code was used already")
    assert await exchange(running, application(cluster, claimant="d" * 64, code=third))


async def test_a_restarted_hub_knows_the_code_of_the_next_run(running, cluster):
    second = new_code(running.orm_spawner.id)
    await exchange(running, application(cluster, following=second))
    assert second not in str(stored_state(running))
    cluster.set("1", JobState.RUNNING, host="node2", start=500.0)
    again = restored(FakeSpawner, running.orm_spawner)
    claim = application(cluster, claimant=OTHER, code=second)
    assert (await exchange(again, claim))["JUPYTERHUB_API_TOKEN"] == TOKEN
    again.clear_state()


async def test_a_site_with_commands_of_its_own_has_claims_too():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "WAIT"), ("ask", "RUN on node5"))
    await spawner.submit_batch_script()
    await spawner.query_job_status()
    code = spawner.run_command.environments[0]["JUPYTERHUB_API_TOKEN"]
    mine = Application(code, 4321, claimant=ME)
    assert (await refusal(spawner, mine))[0] == 503
    await spawner.query_job_status()
    assert (await exchange(spawner, mine))["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert (await refusal(spawner, Application(code, 4321, claimant=OTHER)))[0] == 403


async def test_the_code_of_the_next_run_counts_if_the_start_of_a_run_is_unknown():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "RUN on node5"))
    await spawner.submit_batch_script()
    await spawner.query_job_status()
    first = spawner.run_command.environments[0]["JUPYTERHUB_API_TOKEN"]
    second = new_code(spawner.orm_spawner.id)
    await exchange(spawner, Application(first, 4321, claimant=ME, following=second))
    again = Application(second, 5555, claimant=OTHER)
    assert (await exchange(spawner, again))["JUPYTERHUB_API_TOKEN"] == TOKEN
    late = Application(first, 4321, claimant="c" * 64)
    assert (await refusal(spawner, late))[1].startswith("this code was used already")


def test_a_record_of_another_release_is_no_claim():
    assert [Claim.load(state) for state in ({}, {"digest": "x", "more": 1})] == [None, None]
