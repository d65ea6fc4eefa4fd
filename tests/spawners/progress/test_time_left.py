"""How long a server may run: for its user, its job, and its pages."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub import orm
from traitlets.config import Config

from batchspawner import SlurmSpawner
from batchspawner.jobs import JobInfo, JobState
from batchspawner.spawners.failures.spawn_failure import SpawnFailure
from batchspawner.spawners.progress import pages, past_ends
from batchspawner.spawners.progress.time_left import runtime_seconds, say_left
from tests.spawners.test_life import begin, serve
from wrapspawner import ProfilesSpawner


@pytest.mark.parametrize(
    ("scheduler", "text", "seconds"),
    [
        ("slurm", "90", 5400),
        ("slurm", "8:00:00", 28800),
        ("slurm", "10:30", 630),
        ("slurm", "1-12", 129600),
        ("slurm", "1d 12h", 129600),
        ("local", "5", 300),
        ("torque", "3600", 3600),
        ("torque", "10:30", 630),
        ("gridengine", "3600", 3600),
        ("lsf", "30", 1800),
        ("lsf", "10:30", 37800),
        ("oar", "2", 7200),
        ("oar", "2:30", 9000),
        ("slurm", "", None),
        ("slurm", "0", None),
        ("slurm", "infinite", None),
    ],
)
def test_a_time_is_read_as_the_scheduler_reads_it(scheduler, text, seconds):
    assert runtime_seconds(scheduler, text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (20, "less than a minute"),
        (100, "1 minute"),
        (4000, "1 hour and 6 minutes"),
        (7210, "2 hours"),
        (90010, "1 day and 1 hour"),
        (-5, "less than a minute"),
    ],
)
def test_the_time_left_is_said_in_words(seconds, text):
    assert say_left(time.time() + seconds) == text


async def test_a_job_has_its_limit_as_jupyterlab_server_timer_reads_it(spawner):
    assert "JOB_RUN_TIME" not in spawner.get_env()
    spawner.req_runtime = "8:00:00"
    assert spawner.get_env()["JOB_RUN_TIME"] == "480"
    spawner.user_options = {"runtime": "2:00:00"}
    await spawner.take_options({})
    assert spawner.get_env()["JOB_RUN_TIME"] == "480"


def user_of(spawner, *, ready=True):
    outer = SimpleNamespace(ready=ready, active=ready, pending=None, child_spawner=spawner)
    name = spawner.user.name
    return SimpleNamespace(
        name=name,
        spawners={"": outer},
        orm_spawners={"": SimpleNamespace(state={})},
        server_url=lambda one: f"/user/x/{one}",
    )


async def test_the_home_page_shows_the_time_left_of_each_server(spawner, cluster):
    await serve(spawner, cluster)
    assert list(pages.servers(user_of(spawner))) == []
    end = int(time.time()) + 599
    cluster.set("1", JobState.RUNNING, host="node1", start=1.0, end=end)
    await spawner.backend._watched.renewed()
    assert list(pages.servers(user_of(spawner))) == [
        {"name": "", "job_id": "1", "left": "9 minutes", "end": end, "soon": True}
    ]
    assert list(pages.servers(user_of(spawner, ready=False))) == []


async def test_the_home_page_has_a_card_of_each_server(spawner, cluster):
    await serve(spawner, cluster)
    end = int(time.time()) + 599
    facts = {"host": "node1", "queue": "long", "start": 1.0, "end": end}
    cluster.set("1", JobState.RUNNING, **facts)
    await spawner.backend._watched.renewed()
    user = user_of(spawner)
    (told,) = pages.home(user)["servers"]
    wanted = ("name", "url", "ready", "pending", "state", "job_id", "host", "queue", "ends")
    assert {name: told[name] for name in wanted} == {
        "name": "",
        "url": "/user/x/",
        "ready": True,
        "pending": "",
        "state": "ready",
        "job_id": "1",
        "host": "node1",
        "queue": "long",
        "ends": end,
    }
    cluster.set("1", JobState.SUSPENDED, **facts)
    await spawner.backend._watched.renewed()
    (told,) = pages.home(user)["servers"]
    assert (told["state"], told["headline"]) == ("other", "Job 1 is suspended")
    user.spawners[""].pending = "stop"
    assert [one["state"] for one in pages.home(user)["servers"]] == ["stopping"]
    assert pages.home(user_of(spawner, ready=False)) == {"servers": [], "ended": []}


async def test_the_home_page_says_why_the_last_start_failed(spawner, cluster):
    task = await begin(spawner)
    cluster.set("1", JobState.OUT_OF_MEMORY, start=1.0)
    with pytest.raises(SpawnFailure):
        await asyncio.wait_for(task, 30)
    gone = user_of(spawner, ready=False)
    why = "The job needed more memory than it had asked for. Job 1."
    assert pages.home(gone)["ended"] == [f"Your server has not started. {why}"]


async def test_the_end_is_computed_if_the_scheduler_does_not_report_it(spawner, cluster):
    spawner.req_runtime = "1:00:00"
    await serve(spawner, cluster)
    start = round(time.time()) - 60
    cluster.set("1", JobState.RUNNING, host="node1", start=start)
    await spawner.backend._watched.renewed()
    (told,) = pages.servers(user_of(spawner))
    assert (told["end"], told["soon"]) == (start + 3600, False)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (JobState.TIMEOUT, "the time that it had asked for was over"),
        (JobState.OUT_OF_MEMORY, "it needed more memory than it had asked for"),
        (JobState.COMPLETED, "it was shut down"),
        (JobState.FAILED, "its job failed (exit status 3)"),
    ],
)
async def test_a_server_that_ended_by_itself_does_not_just_vanish(spawner, cluster, state, why):
    await serve(spawner, cluster)
    cluster.set("1", state, exit_code=3 if state is JobState.FAILED else 0, start=1.0)
    await spawner.backend._watched.until(lambda status: status.is_final)
    await spawner.poll()
    gone = user_of(spawner, ready=False)
    assert pages.end_of(gone) == f"Your server ended: {why} (job 1)."
    assert pages.end_of(user_of(spawner)) == ""
    spawner.clear_state()
    with past_ends.noting_failure(spawner):
        assert pages.end_of(gone) == ""


async def test_the_home_page_shows_the_end_of_each_server(spawner):
    lab = SlurmSpawner(user=spawner.user, orm_spawner=orm.Spawner(name="lab"))
    for one, job_id in ((spawner, "1"), (lab, "2")):
        past_ends.note_end(one, JobInfo(job_id, JobState.TIMEOUT))
    outer = SimpleNamespace(ready=False, active=False)
    user = user_of(spawner)
    # One of them was made for its page; the others are rows only.
    user.spawners = {"": outer}
    user.orm_spawners = {one: SimpleNamespace(state={}) for one in ("", "lab", "x")}
    why = "ended: the time that it had asked for was over"
    assert list(pages.past_ends(user)) == [
        f"Your server {why} (job 1).",
        f"Your server lab {why} (job 2).",
    ]
    user.spawners["lab"] = SimpleNamespace(ready=True, active=True)
    assert list(pages.past_ends(user)) == [f"Your server {why} (job 1)."]


@pytest.mark.parametrize("kind", [SlurmSpawner, ProfilesSpawner])
async def test_a_hub_that_is_started_again_knows_how_a_server_ended(spawner, kind):
    stopped, user = kind(config=Config()), user_of(spawner, ready=False)
    stopped.user, stopped.orm_spawner = spawner.user, spawner.orm_spawner
    past_ends.note_end(spawner, JobInfo("1", JobState.TIMEOUT))
    stopped.clear_state()
    user.orm_spawners[""].state = json.loads(json.dumps(stopped.get_state()))
    # JupyterHub makes no spawner for a server that does not run.
    user.spawners.clear()
    past_ends._past_ends.clear()
    why = "ended: the time that it had asked for was over"
    assert pages.home(user) == {"servers": [], "ended": [f"Your server {why} (job 1)."]}
    with past_ends.noting_failure(spawner):
        assert stopped.get_state() == {}


@pytest.mark.parametrize("saved", [None, [], ["x", "y"], [1.0], [1.0, 2], {"at": 1}, [True, "x"]])
def test_what_is_no_saved_end_is_left_alone(saved):
    assert past_ends.end_in_state({"past_end": saved}) == ""


async def test_an_end_is_forgotten_after_a_day(spawner, monkeypatch):
    past_ends.note_end(spawner, JobInfo("1", JobState.TIMEOUT))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    assert past_ends.past_end_of(spawner.user.name, "") == ""


def test_a_hub_knows_the_folder_of_our_pages():
    c = Config()
    pages.use_pages(c)
    (folder,) = c.JupyterHub.template_paths
    assert {file.name for file in Path(folder).iterdir()} >= {"home.html", "spawn_pending.html"}


def test_a_sites_own_pages_rule_over_ours():
    c = Config({"JupyterHub": Config({"template_paths": ["/site"]})})
    pages.use_pages(c)
    assert c.JupyterHub.template_paths[0] == "/site"
    assert len(c.JupyterHub.template_paths) == 2
