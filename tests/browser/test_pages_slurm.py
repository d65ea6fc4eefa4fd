"""The pages of a start on a real Slurm, with its reasons and the logs of its jobs."""

from __future__ import annotations

import json

import pytest

from tests.browser.test_pages import log_in, message
from tests.checking.test_real_site import can_run_python
from tests.hubs import proxy_command, wait_for
from tests.sites import start_hub

CONFIG = """
import json
from batchspawner import use_pages
use_pages(c)
def hook(spawner):
    with open({folder!r} + "/fate.json") as file:
        for name, value in json.load(file).items():
            setattr(spawner, name, value)
c.Spawner.pre_spawn_hook = hook
"""


@pytest.fixture(scope="module")
def shared_hub(site, tmp_path_factory):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    folder = tmp_path_factory.mktemp("slurm-pages")
    hub = start_hub(site, folder, CONFIG.replace("{folder!r}", repr(str(folder))))
    yield hub
    hub.stop()


@pytest.fixture
def begin(page, site, shared_hub):
    """Start a server of the first user, whose spawner has these traits."""
    user = site.users[0]

    def begin(**fate):
        (shared_hub.folder / "fate.json").write_text(json.dumps(fate))
        log_in(page, shared_hub, user)
        page.goto(f"{shared_hub.url}/hub/spawn/{user}")
        return user

    yield begin
    if shared_hub.server(user):
        shared_hub.end(user)


def test_a_partition_that_is_down_is_told_until_it_is_up(page, site, shared_hub, begin, picture):
    site.fill()
    try:
        begin()
        page.wait_for_selector("#progress-message:has-text('PartitionDown')")
        assert "its partition starts no jobs at present. Wait, or stop this server" in message(page)
        page.click("#progress-details summary")
        picture("slurm-waiting")
    finally:
        site.drain()
    if not can_run_python(site.users[0]):
        pytest.skip("the jobs' users cannot run this Python")
    page.wait_for_url(f"**/user/{site.users[0]}/**")
    page.goto(f"{shared_hub.url}/hub/home")
    told = page.wait_for_selector("#batchspawner-servers .alert-info").inner_text()
    assert "ends in 19 minutes" in told


def test_a_job_that_is_held_is_told_as_such(page, begin):
    begin(req_options="--hold")
    page.wait_for_selector("#progress-message:has-text('JobHeldUser')")
    assert "is held: you, or a program of yours, put it on hold. Release it" in message(page)


KINDS = {
    "refused": (
        {"req_partition": "nowhere"},
        "The scheduler refused the job.",
        "invalid partition specified: nowhere",
    ),
    "missing": (
        {"req_prologue": "module load jupyter"},
        "Something that the server needs is missing on the node.",
        "module: command not found",
    ),
    "crashed": (
        {
            "cmd": ["sh", "-c", "'echo Segmentation fault; exit 139'"],
            "batchspawner_singleuser_cmd": "",
        },
        "The job ended before its server was there.",
        "Segmentation fault",
    ),
    "lonely": (
        {
            "req_prologue": "export JUPYTERHUB_API_URL=http://127.0.0.1:9/hub/api "
            "BATCHSPAWNER_REPORT_TIMEOUT=2"
        },
        "The job's node could not reach the Hub.",
        "http://127.0.0.1:9/hub/api",
    ),
    "hungry": (
        {"req_prologue": "python3 -c 'bytearray(1 << 60)'"},
        "The job needed more memory than it had asked for.",
        "MemoryError",
    ),
    "overdue": (
        {"req_runtime": "1", "req_prologue": "sleep 300"},
        "The time of the job was over before its server was there.",
        "DUE TO TIME LIMIT",
    ),
    "cancelled": (
        {"req_prologue": "sleep 60"},
        "The job was cancelled before its server was there.",
        "cancelled",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_fails_shows_slurms_words_and_the_users_log(
    page, site, shared_hub, begin, picture, kind
):
    fate, title, detail = KINDS[kind]
    user = begin(**fate)
    if kind == "cancelled":
        site.cancel(wait_for(lambda: shared_hub.state(user).get("job_id"), 20, "the job"))
    wait_for(lambda: shared_hub.server(user) is None, 150, "the end of the start")
    page.goto(f"{shared_hub.url}/hub/user/{user}/")
    page.wait_for_selector(f"text={title}")
    assert detail in page.inner_text("body")
    if kind == "overdue":
        picture("slurm-failed-overdue")


def test_a_start_whose_node_is_lost_says_so(page, site, shared_hub, begin):
    # A job that is put back into the queue would only go on to wait.
    user = begin(req_options="--no-requeue", req_prologue="sleep 300")
    page.wait_for_selector("#progress-message:has-text('runs on')")
    site.lose_node(shared_hub.state(user)["job_id"])
    try:
        wait_for(lambda: shared_hub.server(user) is None, 150, "the end of the start")
    finally:
        site.start()
    page.goto(f"{shared_hub.url}/hub/user/{user}/")
    page.wait_for_selector("text=The node of the job has failed.")
