"""What a job gets for its claim code, and what nobody else gets for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from jupyterhub import orm
from sqlalchemy import event
from sqlalchemy.orm import object_session

from batchspawner.jobs import JobState
from batchspawner.spawners.hub import state_writer
from batchspawner.spawners.secrets import exchange as exchange_module
from batchspawner.spawners.secrets.claim import Application, Claim, new_code, server_of
from batchspawner.spawners.secrets.exchange import ClaimRefused, exchange, promote
from tests.fakes import FakeScheduler
from tests.spawners.backends.test_command_backend import OldSite, scripted
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import TOKEN, restored, stored_state, unstored
from tests.spawners.test_life import begin, until

ME, OTHER = "a" * 64, "b" * 64


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
    return Application(
        **{"code": code_of(cluster), "port": 4321, "claimant": ME, "confirms": True, **more}
    )


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


async def test_a_start_is_stored_as_often_as_a_hub_that_dies_needs_it(
    spawner, cluster, monkeypatch
):
    monkeypatch.setattr(state_writer, "_COLLECT_S", 3600)
    stored = []
    session = object_session(spawner.orm_spawner)
    event.listen(session, "before_commit", lambda _: stored.append(spawner.job.to_state()))
    task = await begin(spawner)
    cluster.run(spawner.job_id)
    await exchange(spawner, application(cluster))
    spawner.receive_confirmation(4321)
    await task
    seen = [("job_id" in one, "reported_port" in one, "unconfirmed_port" in one) for one in stored]
    # The tag before the submit, the id after it, the report, and that the port is the server's;
    # the last one is JupyterHub's own.
    assert seen == [
        (False, False, False),
        (True, False, False),
        (True, True, True),
        (True, True, False),
        (True, True, False),
    ]


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


async def test_a_code_does_not_follow_itself(spawner, cluster):
    task = await begin(spawner)
    # Whether another run of the job has begun is not known.
    cluster.set("1", JobState.RUNNING, host="node1", start=None)
    code = code_of(cluster)
    status, text = await refusal(spawner, application(cluster, claimant=OTHER, following=code))
    assert (status, text) == (403, "a code cannot be that of the next run as well")
    assert await exchange(spawner, application(cluster))
    await refusal(spawner, application(cluster, claimant=OTHER))
    assert spawner.job.alarm.startswith("ALARM: the claim code of job 1 was used a second time")
    task.cancel()


async def test_of_two_who_claim_before_the_id_is_known_nobody_gets_anything(
    running, cluster, monkeypatch
):
    monkeypatch.setattr(exchange_module, "_ID_TIMEOUT_S", 0.0)
    running.job.identified("")
    for claimant in (OTHER, ME):
        status, text = await refusal(running, application(cluster, claimant=claimant))
        assert (status, text) == (503, "the scheduler has not told the job's id yet")
    running.job.identified("1")
    assert await refusal(running, application(cluster, claimant=OTHER)) == EARLY
    assert running.job.alarm
    status, text = await refusal(running, application(cluster))
    assert status == 403
    await until(lambda: cluster.ended)


async def test_a_job_that_is_faster_than_the_answer_to_its_submit_gets_its_secrets(
    running, cluster
):
    running.job.identified("")
    claim = asyncio.ensure_future(exchange(running, application(cluster)))
    await until(lambda: running.job.early_claims)
    running.job.identified("1")
    assert await claim


async def test_a_job_that_dies_because_somebody_else_had_its_code_says_so(spawner, cluster):
    task = await begin(spawner)
    # It never gets as far as a host.
    cluster.run(spawner.job_id, host="")
    await exchange(spawner, application(cluster, claimant=OTHER))
    await refusal(spawner, application(cluster))
    cluster.set("1", JobState.FAILED, exit_code=69, start=1.0)
    with pytest.raises(RuntimeError, match="ALARM: the claim code of job 1 was used a second time"):
        await asyncio.wait_for(task, 5)


EARLY = (403, "this code was used before its job ran; the use is logged as an alarm")
NOT_YET = (503, "the scheduler does not say yet that job 1 runs")


@pytest.fixture
def late(cluster, monkeypatch):
    """A scheduler that may still say that a job waits when that runs already."""
    monkeypatch.setattr(FakeScheduler, "state_delay_s", 60.0)
    monkeypatch.setattr(exchange_module, "_EARLY_PAUSE_S", 60.0)


async def test_a_claim_before_the_job_runs_is_an_alarm_and_ends_the_start(spawner, cluster, caplog):
    task = await begin(spawner)
    assert await refusal(spawner, application(cluster, claimant=OTHER)) == EARLY
    alarm = "ALARM: the claim code of job 1 was used before the job ran."
    assert [r.levelname for r in caplog.records if alarm in r.getMessage()] == ["ERROR"]
    with pytest.raises(RuntimeError, match=alarm):
        await asyncio.wait_for(task, 5)
    assert cluster.ended["1"].state is JobState.CANCELLED


async def test_after_an_early_claim_nobody_gets_anything_for_the_code(spawner, cluster):
    task = await begin(spawner)
    code = code_of(cluster)
    assert await refusal(spawner, application(cluster, claimant=OTHER)) == EARLY
    assert "job_claim" not in stored_state(spawner)
    cluster.run(spawner.job_id)
    for claimant in (ME, OTHER):
        assert (await refusal(spawner, application(cluster, code=code, claimant=claimant)))[
            0
        ] == 403
    assert "reported_port" not in stored_state(spawner)
    task.cancel()


async def test_a_listing_without_the_job_is_no_proof_that_it_waits(spawner, cluster, monkeypatch):
    task = await begin(spawner)
    await until(lambda: spawner.backend.status)
    query, empty = FakeScheduler.query, iter([True])

    def run_while_listed(_):
        cluster.run("1")
        return {}

    def query_once_empty(self, job_ids):
        (command,) = query(self, job_ids)
        return [replace(command, parse=run_while_listed) if next(empty, False) else command]

    monkeypatch.setattr(FakeScheduler, "query", query_once_empty)
    environment = await exchange(spawner, application(cluster))
    assert environment["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert spawner.job.alarm == ""
    task.cancel()


async def test_a_scheduler_that_does_not_answer_says_nothing_about_a_claim(
    spawner, cluster, monkeypatch
):
    monkeypatch.setattr(exchange_module, "_SCHEDULER_TIMEOUT_S", 0.2)
    task = await begin(spawner)
    cluster.down = True
    assert await refusal(spawner, application(cluster)) == NOT_YET
    assert spawner.job.alarm == ""
    cluster.down = False
    task.cancel()


async def test_a_job_that_is_faster_than_the_listing_gets_its_secrets(
    late, spawner, cluster, monkeypatch
):
    task = await begin(spawner)
    assert await refusal(spawner, application(cluster)) == NOT_YET
    cluster.run(spawner.job_id)
    held = await refusal(spawner, application(cluster))
    assert held == (503, "the code of job 1 was used early; try again")
    monkeypatch.setattr(exchange_module, "_EARLY_PAUSE_S", 0.0)
    assert (await exchange(spawner, application(cluster)))["JUPYTERHUB_API_TOKEN"] == TOKEN
    # The next run of the job is another process.
    cluster.set("1", JobState.RUNNING, host="node2", start=500.0)
    await exchange(spawner, application(cluster, claimant=OTHER))
    assert spawner.job.alarm == ""
    task.cancel()


@pytest.mark.parametrize("first", [ME, OTHER])
async def test_a_thief_who_waits_for_the_job_to_run_is_not_answered_first(
    late, spawner, cluster, first
):
    task = await begin(spawner)
    assert await refusal(spawner, application(cluster, claimant=OTHER)) == NOT_YET
    cluster.run(spawner.job_id)
    if first == OTHER:
        assert (await refusal(spawner, application(cluster, claimant=OTHER)))[0] == 503
    assert await refusal(spawner, application(cluster, claimant=ME)) == EARLY
    assert (await refusal(spawner, Application(new_code(1), 1)))[0] == 403
    assert "reported_port" not in stored_state(spawner)
    with pytest.raises(RuntimeError, match="ALARM: the claim code of job 1 was used before"):
        await asyncio.wait_for(task, 5)


async def test_who_claims_for_too_long_before_the_job_runs_is_an_alarm(
    late, spawner, cluster, monkeypatch
):
    task = await begin(spawner)
    assert await refusal(spawner, application(cluster)) == NOT_YET
    monkeypatch.setattr(FakeScheduler, "state_delay_s", 0.01)
    await asyncio.sleep(0.02)
    assert await refusal(spawner, application(cluster)) == EARLY
    task.cancel()


async def test_a_code_counts_only_while_its_job_runs(spawner, cluster):
    task = await begin(spawner)
    task.cancel()
    cluster.set("1", JobState.CANCELLED)
    assert await refusal(spawner, application(cluster)) == (403, "job 1 has ended")
    assert "reported_port" not in stored_state(spawner)


async def test_a_claim_that_promises_no_confirmation_gets_nothing(running, cluster):
    refused = await refusal(running, application(cluster, confirms=False))
    assert refused == (403, "a job has to confirm its server here, and this one does not")
    assert "reported_port" not in stored_state(running)
    running.confirm_server = False
    await exchange(running, application(cluster, confirms=False))
    assert running.job.unconfirmed_port == 0


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
    promoting = asyncio.ensure_future(promote(running, Application(code, 4321)))
    while not promoting.done():
        assert unstored(running) == []
        await asyncio.sleep(0)
    await promoting
    assert orm.APIToken.find(session, TOKEN) is None
    assert orm.APIToken.find(session, code) is row
    assert running.api_token == code
    assert stored_state(running)["reported_port"] == 4321
    with pytest.raises(ClaimRefused, match="this code was used already"):
        await exchange(running, application(cluster, claimant=OTHER))


async def test_a_site_can_refuse_older_wrappers_and_who_poses_as_one(running, cluster):
    running.accept_older_wrapper = False
    with pytest.raises(ClaimRefused, match="job 1 is of an older release") as caught:
        await promote(running, Application(code_of(cluster), 4321))
    assert caught.value.status == 403
    assert running.api_token != code_of(cluster)
    assert "reported_port" not in stored_state(running)
    assert await exchange(running, application(cluster))


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


async def test_a_site_with_commands_of_its_own_has_claims_too(monkeypatch):
    spawner = scripted(
        OldSite, ("sub", "77"), ("ask", "WAIT"), ("ask", "WAIT"), ("ask", "RUN on node5")
    )
    await spawner.submit_batch_script()
    await spawner.query_job_status()
    code = spawner.run_command.environments[0]["JUPYTERHUB_API_TOKEN"]
    mine = Application(code, 4321, claimant=ME, confirms=True)
    monkeypatch.setattr(exchange_module, "_EARLY_PAUSE_S", 0.0)
    assert (await refusal(spawner, mine))[0] == 503
    assert (await exchange(spawner, mine))["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert (await refusal(spawner, replace(mine, claimant=OTHER)))[0] == 403


async def test_the_code_of_the_next_run_counts_if_the_start_of_a_run_is_unknown():
    spawner = scripted(OldSite, ("sub", "77"), ("ask", "RUN on node5"))
    await spawner.submit_batch_script()
    await spawner.query_job_status()
    first = spawner.run_command.environments[0]["JUPYTERHUB_API_TOKEN"]
    second = new_code(spawner.orm_spawner.id)
    await exchange(spawner, Application(first, 4321, claimant=ME, following=second, confirms=True))
    again = Application(second, 5555, claimant=OTHER, confirms=True)
    assert (await exchange(spawner, again))["JUPYTERHUB_API_TOKEN"] == TOKEN
    late = Application(first, 4321, claimant="c" * 64, confirms=True)
    assert (await refusal(spawner, late))[1].startswith("this code was used already")


def test_a_record_of_another_release_is_no_claim():
    assert [Claim.load(state) for state in ({}, {"digest": "x", "more": 1})] == [None, None]
