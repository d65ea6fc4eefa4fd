"""What a user sees while a server waits, starts, fails, runs and ends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import pytest

from tests.hubs import Hub, proxy_command, wait_for

# Each user meets another fate.
CONFIG = """
from importlib.resources import files
from batchspawner import use_pages
use_pages(c)
LAB = files("batchspawner.labextension")
FATES = {
    "waiting": {"req_nprocs": "2"},
    "ready": {"req_runtime": "0:12:00"},
    "brief": {"req_runtime": "0:00:45"},
    "missing": {"req_prologue": "module load jupyter"},
    "crashed": {"cmd": ["sh", "-c", "'echo Segmentation fault; exit 139'"],
                "batchspawner_singleuser_cmd": ""},
    "overdue": {"req_runtime": "0:00:03", "req_prologue": "sleep 60"},
    "refused": {"req_nprocs": "1000"},
    "cancelled": {"req_prologue": "sleep 60"},
    "lonely": {"req_prologue": "export JUPYTERHUB_API_URL=http://127.0.0.1:9/hub/api "
                               "BATCHSPAWNER_REPORT_TIMEOUT=2"},
    "hungry": {"req_prologue": "python3 -c 'bytearray(1 << 60)'"},
    # Who runs a job of this queue is its node.
    "fallen": {"req_prologue": "kill -KILL $PPID; sleep 60"},
    "late": {"start_timeout": 8, "req_prologue": "sleep 60"},
}
def hook(spawner):
    for name, value in FATES[spawner.user.name].items():
        setattr(spawner, name, value)
c.Spawner.pre_spawn_hook = hook
c.JupyterHub.spawner_class = "localqueue"
c.LocalQueueSpawner.req_homedir = {folder!r}
c.Spawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
c.Spawner.notebook_dir = {folder!r} + "/notebooks"
c.Spawner.environment = {
    "JUPYTER_PATH": f"{LAB}/share/jupyter", "JUPYTER_CONFIG_PATH": f"{LAB}/etc/jupyter",
}
"""
FATES = (
    "waiting",
    "ready",
    "brief",
    "missing",
    "crashed",
    "overdue",
    "refused",
    "cancelled",
    "lonely",
    "hungry",
    "fallen",
    "late",
)


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    folder = tmp_path_factory.mktemp("pages")
    environment = {
        "BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"),
        "BATCHSPAWNER_QUEUE_SLOTS": "2",
        "BATCHSPAWNER_QUEUE_GRACE": "1",
    }
    one = Hub(folder, CONFIG.replace("{folder!r}", repr(str(folder))), FATES, **environment)
    (folder / "notebooks").mkdir()
    one.start().add_users()
    yield one
    one.stop()


@pytest.fixture
def hub(shared_hub):
    yield shared_hub
    for user in FATES:
        if shared_hub.server(user):
            shared_hub.end(user)


def queue(hub, *words: str, script: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "batchspawner.localqueue", *words],
        input=script or None,
        env={**os.environ, **hub.environment},
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@contextlib.contextmanager
def all_slots_taken(hub):
    job_id = queue(hub, "submit", script="#!/bin/sh\n#QUEUE --slots=2\nsleep 300\n")
    try:
        yield
    finally:
        queue(hub, "cancel", job_id)


def log_in(page, hub, user: str) -> None:
    page.goto(f"{hub.url}/hub/login?next=%2Fhub%2Fhome")
    page.fill("#username_input", user)
    page.fill("#password_input", hub.password)
    page.click("#login_submit")
    page.wait_for_url("**/hub/home")


def start(page, hub, user: str) -> None:
    log_in(page, hub, user)
    page.goto(f"{hub.url}/hub/spawn/{user}")


def message(page) -> str:
    return " ".join(page.inner_text("#progress-message").split())


def test_a_job_that_waits_says_why_and_the_same_in_every_tab(page, hub, picture):
    with all_slots_taken(hub):
        start(page, hub, "waiting")
        page.wait_for_selector("#progress-message:has-text('waits in the queue')")
        page.click("#progress-details summary")
        picture("waiting")
        second = page.context.new_page()
        second.goto(f"{hub.url}/hub/spawn-pending/waiting")
        second.wait_for_selector("#progress-message:has-text('waits in the queue')")
        assert message(second) == message(page)
        assert "it needs 2 of the queue's slots, and 0 are free; it is the next" in message(page)
        assert "Stop another server of yours, or wait until one ends." in message(page)
        log = second.locator("#progress-log .progress-log-event").all_text_contents()
        assert [text.split(":")[0] for text in log[:3]] == [
            "Server requested",
            "Submitting the job to the local queue",
            f"Job {hub.state('waiting')['job_id']} is submitted to the local queue",
        ]
        second.close()


def test_who_wants_it_is_notified(chromium, hub):
    context = chromium.new_context(permissions=["notifications"])
    context.set_default_timeout(300_000)
    # What a browser shows outside of its pages cannot be seen from here.
    context.add_init_script(
        """
        Object.defineProperty(document, "visibilityState", {get: () => "hidden"});
        window.Notification = class {
          static async requestPermission() { return "granted"; }
          constructor(title) { localStorage.setItem("notified", title); }
        };
        """
    )
    page = context.new_page()
    with all_slots_taken(hub):
        start(page, hub, "crashed")
        page.click("#batchspawner-notify")
        page.wait_for_selector("#batchspawner-notified:has-text('You will be notified')")
    wait_for(
        lambda: page.evaluate("localStorage.getItem('notified')") == "Your server has not started",
        30,
        "the notification",
    )
    context.close()


KINDS = {
    "missing": ("Something that the server needs is missing on the node.", "command not found"),
    "crashed": ("The job ended before its server was there.", "Segmentation fault"),
    "overdue": ("The time of the job was over before its server was there.", "timed? ?out|time"),
    "refused": ("The scheduler refused the job.", "asks for 1000 slots, and this queue has only"),
    "cancelled": ("The job was cancelled before its server was there.", "cancelled"),
    "lonely": ("The job's node could not reach the Hub.", "http://127.0.0.1:9/hub/api"),
    "hungry": ("The job needed more memory than it had asked for.", "MemoryError"),
    "fallen": ("The node of the job has failed.", "its supervisor was killed"),
    "late": (
        "The job ran, but its server was not there in time.",
        "After 8 s, the limit of this Hub: Job",
    ),
}


@pytest.mark.parametrize("fate", KINDS)
def test_a_start_that_fails_says_why_and_what_to_do(page, hub, picture, fate):
    title, detail = KINDS[fate]
    start(page, hub, fate)
    if fate == "cancelled":
        job_id = wait_for(lambda: hub.state(fate).get("job_id"), 20, "the job")
        queue(hub, "cancel", job_id)
    wait_for(lambda: hub.server(fate) is None, 60, "the end of the start")
    page.goto(f"{hub.url}/hub/user/{fate}/")
    page.wait_for_selector(f"text={title}")
    text = page.inner_text("body")
    if fate != "overdue":
        assert detail in text
    assert "Start again" in text or "administrator" in text or "Choose other" in text
    if fate in ("missing", "crashed", "lonely"):
        assert "The end of its log" in text
        assert "Its log is " in text
    if fate in ("missing", "refused"):
        picture(f"failed-{fate}")


def test_the_home_page_and_jupyterlab_show_the_time_left(page, hub, picture):
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    start(page, hub, "ready")
    page.wait_for_url("**/user/ready/lab**")
    page.wait_for_selector(".jp-Launcher")
    toast = page.wait_for_selector("text=/This server ends in 1[12] minutes/")
    assert "Save your work; what runs in kernels is lost." in toast.inner_text()
    picture("time-left-lab")
    page.click("text=Save all")
    page.goto(f"{hub.url}/hub/home")
    told = page.wait_for_selector("#batchspawner-servers .alert-warning").inner_text()
    job_id = hub.state("ready")["job_id"]
    assert told.startswith(f"Your server (job {job_id}) ends in 1")
    assert told.endswith(": save your work.")
    picture("time-left-home")


def test_a_server_whose_time_is_over_is_announced(page, hub, picture):
    start(page, hub, "brief")
    hub.wait_ready("brief")
    wait_for(lambda: hub.server("brief") is None, 90, "the end of its time")
    page.goto(f"{hub.url}/hub/home")
    ended = "Your server ended: the time that it had asked for was over (job "
    assert ended in page.inner_text("#batchspawner-servers")
    picture("ended-home")
    page.goto(f"{hub.url}/hub/user/brief/")
    page.wait_for_selector(f"text={ended}")
    assert json.loads(queue(hub, "query"))["jobs"] == []
