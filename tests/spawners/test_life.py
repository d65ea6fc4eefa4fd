"""A server's life, from start to stop, on the scheduler layer."""

from __future__ import annotations

import asyncio

import pytest

from batchspawner.jobs import JobState
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.hub import state_writer
from tests.loops import Rounds
from tests.spawners.conftest import FakeSpawner
from tests.spawners.site import make_spawners, restored, start, stored_state, unstored


async def until(look, seconds=5.0):
    for _ in range(int(seconds * 100)):
        if look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never became true")


async def begin(spawner):
    """Begin to start a server and return the task once its job is submitted."""
    task = asyncio.ensure_future(start(spawner))
    await until(lambda: spawner.job_id or task.done())
    return task


async def serve(spawner, cluster, port=4321):
    task = await begin(spawner)
    cluster.run(spawner.job_id)
    spawner.receive_report(port)
    return await asyncio.wait_for(task, 5)


async def test_a_server_is_where_its_job_runs_and_listens_where_it_reported(spawner, cluster):
    assert await serve(spawner, cluster) == ("node1", 4321)
    assert await spawner.poll() is None


async def test_nothing_waits_for_a_commit_that_the_end_of_another_request_would_roll_back(
    spawner, cluster, monkeypatch
):
    monkeypatch.setattr(state_writer, "_COMMIT_INTERVAL_S", 0.5)
    starting = asyncio.ensure_future(spawner.start())
    seen = []
    while not starting.done():
        seen += unstored(spawner)
        if spawner.job_id and not spawner.job.reported_port:
            cluster.run(spawner.job_id)
            spawner.receive_report(4321)
        await asyncio.sleep(0)
    assert starting.result() == ("node1", 4321)
    assert seen + unstored(spawner) == []


async def test_the_job_gets_script_and_environment(spawner, cluster):
    await serve(spawner, cluster)
    ((script, environment),) = cluster.requests
    assert script == "#!/bin/sh\nbatchspawner-singleuser jupyterhub-singleuser\n"
    assert environment["JUPYTERHUB_SERVICE_URL"].startswith("http://0.0.0.0:0/")


async def test_the_id_is_in_the_database_as_soon_as_the_job_is_submitted(spawner, cluster):
    task = await begin(spawner)
    await until(lambda: stored_state(spawner).get("job_id") == "1")
    task.cancel()


async def test_the_tag_is_in_the_database_before_the_job_is_submitted(spawner, cluster):
    cluster.delay = 0.2
    task = asyncio.ensure_future(start(spawner))
    await until(lambda: "submit" in cluster.commands)
    assert stored_state(spawner)["job_tag"].startswith("jh-")
    assert "job_id" not in stored_state(spawner)
    await until(lambda: spawner.job_id)
    task.cancel()


async def test_a_report_that_comes_before_the_scheduler_says_running_waits_for_the_host(
    spawner, cluster
):
    task = await begin(spawner)
    spawner.receive_report(4321)
    await asyncio.sleep(0.1)
    assert not task.done()
    cluster.run(spawner.job_id, host="node7")
    assert await asyncio.wait_for(task, 5) == ("node7", 4321)


async def test_a_reported_host_counts_only_where_it_is_trusted(spawner, cluster):
    task = await begin(spawner)
    cluster.run(spawner.job_id)
    spawner.receive_report(4321, "10.0.0.9")
    assert await asyncio.wait_for(task, 5) == ("node1", 4321)


async def test_a_trusted_host_needs_no_word_of_the_scheduler(spawner, cluster):
    spawner.trust_reported_host = True
    task = await begin(spawner)
    spawner.receive_report(4321, "10.0.0.9")
    assert await asyncio.wait_for(task, 5) == ("10.0.0.9", 4321)


async def test_a_refused_job_shows_the_user_why(spawner, cluster):
    cluster.refuse = "Invalid account"
    with pytest.raises(SpawnFailure, match=r"refused .* Fake says: Invalid account") as caught:
        await spawner.start()
    assert caught.value.jupyterhub_message == str(caught.value)
    assert await spawner.poll() == 0


async def test_a_job_that_is_cancelled_while_it_waits_ends_the_start(spawner, cluster):
    task = await begin(spawner)
    cluster.set(spawner.job_id, JobState.CANCELLED, reason="by an operator")
    with pytest.raises(SpawnFailure, match=r"cancelled \(by an operator\).* Job 1\."):
        await asyncio.wait_for(task, 5)


async def test_a_job_that_dies_before_its_server_reports_ends_the_start(spawner, cluster):
    task = await begin(spawner)
    cluster.run(spawner.job_id)
    cluster.set(spawner.job_id, JobState.FAILED, exit_code=127, start=1.0)
    with pytest.raises(SpawnFailure, match=r"The job ended: failed \(exit status 127\)"):
        await asyncio.wait_for(task, 5)
    assert await spawner.poll() == 127


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (75, "could not reach the Hub at http://127.0.0.1:8081/hub/api"),
        (127, "A command was not found on its node"),
    ],
)
async def test_what_the_wrapper_ended_with_is_put_into_words(spawner, cluster, code, meaning):
    task = await begin(spawner)
    cluster.set(spawner.job_id, JobState.FAILED, exit_code=code, start=1.0)
    with pytest.raises(SpawnFailure, match=meaning):
        await asyncio.wait_for(task, 5)


async def test_a_scheduler_that_is_down_for_a_while_ends_no_start(spawner, cluster):
    task = await begin(spawner)
    cluster.down = True
    await asyncio.sleep(0.2)
    assert not task.done()
    cluster.down = False
    cluster.run(spawner.job_id)
    spawner.receive_report(4321)
    assert await asyncio.wait_for(task, 10) == ("node1", 4321)


async def test_a_scheduler_that_is_down_ends_no_server(spawner, cluster):
    await serve(spawner, cluster)
    cluster.down = True
    await asyncio.sleep(0.2)
    assert await spawner.poll() is None


async def test_a_hub_keeps_the_pause_between_queries_that_its_site_wants(spawner, cluster):
    spawner.query_floor = 60.0
    task = await begin(spawner)
    await until(lambda: spawner.backend.status)
    asked = cluster.commands.count("query")
    await asyncio.sleep(0.2)
    assert cluster.commands.count("query") == asked
    task.cancel()


async def test_a_poll_costs_no_command(spawner, cluster):
    await serve(spawner, cluster)
    spawner.poll_interval = 60
    await spawner.poll()
    asked = len(cluster.commands)
    for _ in range(20):
        await spawner.poll()
    assert len(cluster.commands) == asked


@pytest.mark.parametrize(
    ("state", "facts", "status"),
    [
        (JobState.COMPLETED, {"exit_code": 0}, 0),
        (JobState.FAILED, {"exit_code": 3}, 3),
        (JobState.NODE_FAIL, {}, 1),
    ],
)
async def test_a_server_whose_job_ended_is_over(spawner, cluster, state, facts, status):
    await serve(spawner, cluster)
    cluster.set(spawner.job_id, state, **facts)
    await until(lambda: spawner.backend.status.is_final)
    assert await spawner.poll() == status


async def test_a_poll_never_raises(spawner, cluster, monkeypatch):
    await serve(spawner, cluster)
    monkeypatch.setattr(spawner.backend, "poll", lambda: 1 / 0)
    assert await spawner.poll() is None


async def test_stopping_a_running_server_cancels_its_job(spawner, cluster):
    await serve(spawner, cluster)
    await asyncio.wait_for(spawner.stop(), 5)
    assert cluster.ended["1"].state is JobState.CANCELLED


async def test_stopping_a_waiting_server_cancels_its_job(spawner, cluster):
    task = await begin(spawner)
    task.cancel()
    assert await spawner.poll() is None
    await asyncio.wait_for(spawner.stop(), 5)
    assert cluster.ended["1"].state is JobState.CANCELLED


async def test_stopping_while_the_submit_runs_cancels_the_job_that_comes_of_it(spawner, cluster):
    cluster.delay = 0.2
    task = asyncio.ensure_future(start(spawner))
    await until(lambda: "submit" in cluster.commands)
    task.cancel()
    assert await spawner.poll() is None
    await asyncio.wait_for(spawner.stop(), 10)
    assert cluster.ended["1"].state is JobState.CANCELLED


async def test_a_cancel_without_an_answer_is_repeated(spawner, cluster, monkeypatch):
    monkeypatch.setattr(
        "batchspawner.spawners.backends.cancellation._RETRY_INTERVALS_S", (0.2, 5.0)
    )
    await serve(spawner, cluster)
    cluster.down = True
    stopping = asyncio.ensure_future(spawner.stop())
    await until(lambda: "cancel" in cluster.commands)
    cluster.down = False
    await asyncio.wait_for(stopping, 10)
    assert cluster.ended["1"].state is JobState.CANCELLED


async def test_a_restarted_hub_knows_a_running_server_again(spawner, cluster):
    await serve(spawner, cluster)
    again = restored(FakeSpawner, spawner.orm_spawner)
    assert await again.poll() is None
    assert (await again.get_url()).startswith("http://node1:4321/user/")


async def test_a_restarted_hub_asks_once_about_many_servers_and_does_other_work_meanwhile(cluster):
    begun = []

    class Restarted(FakeSpawner):
        @property
        def backend(self):
            begun.append((self.job_id, rounds.number))
            return super().backend

    spawners = make_spawners(Restarted, 20)
    for number, one in enumerate(spawners, 1):
        cluster.set(str(number), JobState.RUNNING, host="node1")
        one.load_state({"job_id": str(number), "job_host": "node1", "job_port": 4321})
    async with Rounds() as rounds:
        alive = await asyncio.gather(*(one.poll() for one in spawners))
    assert alive == [None] * 20
    assert cluster.commands.count("query") == 1
    first = dict(reversed(begun))
    assert len(set(first.values())) == 20
    for one in spawners:
        one.clear_state()


async def test_a_server_of_1x_is_where_jupyterhub_knows_it(spawner, cluster):
    await serve(spawner, cluster)
    spawner.orm_spawner.state = {"job_id": spawner.job_id, "job_status": "RUNNING node1"}
    again = restored(FakeSpawner, spawner.orm_spawner)
    assert await again.poll() is None
    url = await asyncio.wait_for(again.get_url(), 5)
    assert url.startswith("http://node1:4321/user/")


async def test_a_restarted_hub_waits_on_for_a_job_that_waits(spawner, cluster):
    task = await begin(spawner)
    await until(lambda: stored_state(spawner).get("job_id"))
    task.cancel()
    again = restored(FakeSpawner, spawner.orm_spawner)
    again.startup_poll_interval = 0.01
    assert await again.poll() is None
    url = asyncio.ensure_future(again.get_url())
    await asyncio.sleep(0.1)
    assert not url.done()
    cluster.run("1", host="node3")
    again.receive_report(5555)
    assert (await asyncio.wait_for(url, 5)).startswith("http://node3:5555/user/")


async def test_a_restarted_hub_finds_a_job_whose_id_was_never_stored(spawner, cluster):
    task = await begin(spawner)
    task.cancel()
    spawner.orm_spawner.state = {"job_tag": spawner.job_tag}
    again = restored(FakeSpawner, spawner.orm_spawner)
    assert await again.poll() is None
    assert again.job_id == "1"
    assert cluster.commands.count("submit") == 1


async def test_a_restarted_hub_finds_it_also_when_the_scheduler_answers_later(
    spawner, cluster, monkeypatch, caplog
):
    monkeypatch.setattr("batchspawner.spawners.backends.submission._SEARCH_INTERVAL_S", 0.05)
    task = await begin(spawner)
    task.cancel()
    spawner.orm_spawner.state = {"job_tag": spawner.job_tag}
    cluster.down = True
    again = restored(FakeSpawner, spawner.orm_spawner)
    assert await again.poll() is None
    url = asyncio.ensure_future(again.get_url())
    await asyncio.sleep(0.2)
    cluster.down = False
    cluster.run("1")
    await until(lambda: again.job_id == "1")
    again.receive_report(4321)
    assert (await asyncio.wait_for(url, 5)).startswith("http://node1:4321/")
    assert [one for one in caplog.records if one.exc_info] == []
    again.clear_state()


async def test_a_restarted_hub_takes_no_missing_answer_for_an_end(spawner, cluster, monkeypatch):
    monkeypatch.setattr(
        "batchspawner.spawners.backends.scheduler_backend._FIRST_ANSWER_TIMEOUT_S", 0.1
    )
    await serve(spawner, cluster)
    cluster.down = True
    assert await restored(FakeSpawner, spawner.orm_spawner).poll() is None


async def test_a_server_without_a_job_is_not_running(spawner):
    assert await spawner.poll() == 0


async def test_the_hub_does_not_take_the_users_choices_for_unhandled(spawner, cluster, caplog):
    if not hasattr(spawner, "_run_apply_user_options"):
        pytest.skip("JupyterHub before 5.3 does not look")
    await spawner._run_apply_user_options({"queue": "day"})
    assert "unhandled" not in caplog.text


async def test_a_second_start_listens_where_the_first_did(spawner, cluster):
    spawner.ip = "10.1.1.1"
    await serve(spawner, cluster)
    assert spawner.ip == "node1"
    spawner.clear_state()
    task = await begin(spawner)
    assert cluster.requests[1][1]["JUPYTERHUB_SERVICE_URL"].startswith("http://10.1.1.1:0/")
    task.cancel()


async def test_the_progress_shows_changes_and_never_goes_back(spawner, cluster):
    events = []

    async def listen():
        async for event in spawner.progress():
            events.append(event)  # noqa: PERF401  (each is looked at as it comes)

    listening = asyncio.ensure_future(listen())
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    await until(lambda: len(events) >= 2 and "Resources" in events[-1]["message"])
    cluster.run("1")
    await until(lambda: "runs on node1" in events[-1]["message"])
    listening.cancel()
    task.cancel()
    percents = [event["progress"] for event in events]
    assert percents == sorted(percents)
    assert len({event["message"] for event in events}) == len(events)
    # Nothing in `html_message`, which pages do not escape.
    assert all(set(event) - {"batchspawner"} == {"progress", "message"} for event in events)
    assert events[-1]["batchspawner"]["host"] == "node1"
