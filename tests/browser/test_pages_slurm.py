"""The pages of a start on a real Slurm, with its reasons and the logs of its jobs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess

import pytest

from tests.browser.test_pages import log_in, message
from tests.checking.test_real_site import can_run_python
from tests.hubs import proxy_command, wait_for
from tests.sites import start_hub

CONFIG = """
import json
import os
from batchspawner import use_pages
use_pages(c)
def hook(spawner):
    with open({folder!r} + "/fate.json") as file:
        for name, value in json.load(file).items():
            setattr(spawner, name, value)
c.Spawner.pre_spawn_hook = hook
from importlib.resources import files
LAB = files("batchspawner.labextension")
c.Spawner.environment = {
    "SLURM_CONF": os.environ["SLURM_CONF"],
    "JUPYTER_PATH": f"{LAB}/share/jupyter", "JUPYTER_CONFIG_PATH": f"{LAB}/etc/jupyter",
}
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
        assert "Its partition starts no jobs at present (Slurm says" in message(page)
        assert "Wait, or stop this server" in message(page)
        page.click("#progress-details summary")
        picture("slurm-waiting")
    finally:
        site.drain()
    if not can_run_python(site.users[0]):
        pytest.skip("the jobs' users cannot run this Python")
    page.wait_for_url(f"**/user/{site.users[0]}/**")
    page.goto(f"{shared_hub.url}/hub/home")
    told = page.wait_for_selector("#batchspawner-servers [data-row=ends]").inner_text()
    assert "(in 19 minutes)" in told or "(in 20 minutes)" in told


def test_a_job_that_is_held_is_told_as_such(page, begin):
    begin(req_options="--hold")
    page.wait_for_selector("#progress-message:has-text('JobHeldUser')")
    assert message(page).startswith("Your job is held You, or a program of yours, put it on hold")
    assert "Release it" in message(page)


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
    page.wait_for_selector("#batchspawner-state:has-text('Your job runs')")
    site.lose_node(shared_hub.state(user)["job_id"])
    try:
        wait_for(lambda: shared_hub.server(user) is None, 150, "the end of the start")
    finally:
        site.start()
    page.goto(f"{shared_hub.url}/hub/user/{user}/")
    page.wait_for_selector("body:has-text('The node of the job has failed.')")


@contextlib.contextmanager
def job_of(site, user: str):
    """Submit a job of a user, without this library, whose name says whose it is."""
    run = ["sudo", "-n", "-E", "-H", "-u", user]
    quiet = ["--parsable", "--chdir=/", "--output=/dev/null", "--mem=50M"]
    words = ["sbatch", *quiet, f"--job-name=secret-of-{user}", "--wrap=sleep 600"]
    environment = {**os.environ, **site.environment}
    done = subprocess.run(
        [*run, *words], env=environment, check=True, capture_output=True, text=True
    )
    try:
        yield
    finally:
        site.cancel(done.stdout.strip())


def test_each_user_sees_only_the_own_jobs_in_jupyterlab(page, site, shared_hub):
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    users = site.users[:2]
    if not all(map(can_run_python, users)):
        pytest.skip("the jobs' users cannot run this Python")
    (shared_hub.folder / "fate.json").write_text("{}")
    with contextlib.ExitStack() as stack:
        for user in users:
            stack.enter_context(job_of(site, user))
            shared_hub.begin(user)
            stack.callback(shared_hub.end, user)
        for user, other in zip(users, reversed(users)):
            shared_hub.wait_ready(user)
            log_in(page, shared_hub, user)
            page.goto(f"{shared_hub.url}/user/{user}/lab")
            page.wait_for_selector(".jp-Launcher")
            page.keyboard.press("Alt+Shift+J")
            panel = page.locator("#batchspawner-jobs")
            panel.locator(f"li[data-kind=other]:has-text('secret-of-{user}')").wait_for()
            job_id = shared_hub.state(user)["job_id"]
            panel.locator(f"[data-job=server]:has-text('job {job_id}')").wait_for()
            assert f"secret-of-{other}" not in panel.inner_text()
            told = page.request.get(f"{shared_hub.url}/user/{user}/batchspawner/jobs").json()
            assert {one["name"] for one in told["jobs"] if one["kind"] == "other"} == {
                f"secret-of-{user}"
            }
            answer = page.goto(f"{shared_hub.url}/user/{other}/batchspawner/jobs")
            assert answer.status in (403, 404)
            page.context.clear_cookies()
