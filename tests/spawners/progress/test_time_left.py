"""How long a server may run: for its user, its job, and its pages."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from batchspawner import labextension
from batchspawner.jobs import JobInfo, JobState
from batchspawner.spawners.progress import pages, past_ends
from batchspawner.spawners.progress.time_left import runtime_seconds, say_left
from tests.spawners.test_life import serve


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
    outer = SimpleNamespace(ready=ready, active=ready, child_spawner=spawner)
    return SimpleNamespace(name=spawner.user.name, spawners={"": outer})


async def test_the_home_page_shows_the_time_left_of_each_server(spawner, cluster):
    await serve(spawner, cluster)
    assert list(pages.servers(user_of(spawner))) == []
    end = time.time() + 600
    cluster.set("1", JobState.RUNNING, host="node1", start=1.0, end=end)
    await spawner.backend._watched.renewed()
    assert list(pages.servers(user_of(spawner))) == [
        {"name": "", "job_id": "1", "left": "9 minutes", "end": end, "soon": True}
    ]
    assert list(pages.servers(user_of(spawner, ready=False))) == []


async def test_the_end_is_computed_if_the_scheduler_does_not_report_it(spawner, cluster):
    spawner.req_runtime = "1:00:00"
    await serve(spawner, cluster)
    start = time.time() - 60
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
    past_ends.forget_end(spawner)
    assert pages.end_of(gone) == ""


async def test_the_home_page_shows_the_end_of_each_server(spawner):
    lab = SimpleNamespace(user=spawner.user, name="lab")
    for one, job_id in ((spawner, "1"), (lab, "2")):
        past_ends.note_end(one, JobInfo(job_id, JobState.TIMEOUT))
    outer = SimpleNamespace(ready=False, active=False)
    user = SimpleNamespace(name=spawner.user.name, spawners={"": outer, "lab": outer, "x": outer})
    why = "ended: the time that it had asked for was over"
    assert list(pages.past_ends(user)) == [
        f"Your server {why} (job 1).",
        f"Your server lab {why} (job 2).",
    ]
    user.spawners["lab"] = SimpleNamespace(ready=True, active=True)
    assert list(pages.past_ends(user)) == [f"Your server {why} (job 1)."]
    for one in (spawner, lab):
        past_ends.forget_end(one)


async def test_an_end_is_forgotten_after_a_day(spawner, monkeypatch):
    past_ends.note_end(spawner, JobInfo("1", JobState.TIMEOUT))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    assert past_ends.past_end_of(spawner.user.name, "") == ""
    past_ends.forget_end(spawner)


def test_the_extension_tells_pages_the_end_of_the_job(monkeypatch):
    server = SimpleNamespace(web_app=SimpleNamespace(settings={}))
    (point,) = labextension._jupyter_server_extension_points()
    assert point == {"module": "batchspawner.labextension"}
    labextension._load_jupyter_server_extension(server)
    assert server.web_app.settings == {}
    monkeypatch.setenv("JOB_START_TIME", "1000")
    monkeypatch.setenv("JOB_RUN_TIME", "1")
    labextension._load_jupyter_server_extension(server)
    assert server.web_app.settings == {"page_config_data": {"batchspawnerEnd": "1060"}}


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
