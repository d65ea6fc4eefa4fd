"""What a user sees while a server waits, starts, fails, runs and ends."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest

from tests.browser.accessibility import violations
from tests.browser.local_queue import queue
from tests.hubs import Hub, proxy_command, wait_for

# Each user meets another fate.
CONFIG = """
from importlib.resources import files
from batchspawner import use_pages
use_pages(c)
LAB = files("batchspawner.labextension")
FATES = {
    "waiting": {"req_nprocs": "2", "queue_timeout": 7200},
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
    "starved": {"req_nprocs": "2", "queue_timeout": 3},
    # JupyterHub itself would give up after 2 s.
    "slow": {"queue_timeout": 3600, "start_timeout": 2, "req_prologue": "sleep 60"},
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
    "starved",
    "slow",
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


@contextlib.contextmanager
def all_slots_taken(hub):
    job_id = queue(hub.environment, "submit", script="#!/bin/sh\n#QUEUE --slots=2\nsleep 300\n")
    try:
        yield
    finally:
        queue(hub.environment, "cancel", job_id, check=False)


def log_in(page, hub, user: str) -> None:
    page.goto(f"{hub.url}/hub/login?next=%2Fhub%2Fhome")
    page.fill("#username_input", user)
    page.fill("#password_input", hub.password)
    page.click("#login_submit")
    page.wait_for_url("**/hub/home")


@contextlib.contextmanager
def in_language(page, locale: str):
    """Open a page for the same user in a browser that asks for another language."""
    context = page.context.browser.new_context(
        locale=locale, storage_state=page.context.storage_state()
    )
    context.set_default_timeout(300_000)
    try:
        yield context.new_page()
    finally:
        context.close()


def start(page, hub, user: str) -> None:
    log_in(page, hub, user)
    page.goto(f"{hub.url}/hub/spawn/{user}")


def message(page) -> str:
    """Return what the card says of a start: its state, why, and what to do."""
    return " ".join(page.inner_text("#batchspawner-start [aria-live]").split())


def rows(page) -> dict[str, str]:
    """Return the rows of the card that are shown."""
    shown = page.locator(".batchspawner-card > div:visible").all()
    return {one.get_attribute("data-row"): one.locator("dd").inner_text() for one in shown}


def test_a_job_that_waits_says_why_and_the_same_in_every_tab(page, hub, picture):
    with all_slots_taken(hub):
        start(page, hub, "waiting")
        page.wait_for_selector("#batchspawner-state:has-text('waits in the queue')")
        page.click("#progress-details summary")
        picture("waiting")
        second = page.context.new_page()
        second.goto(f"{hub.url}/hub/spawn-pending/waiting")
        second.wait_for_selector("#batchspawner-state:has-text('waits in the queue')")
        assert message(second) == message(page)
        assert "It needs 2 of the queue's slots, and 0 are free; it is the next" in message(page)
        assert "Stop another server of yours, or wait until one ends." in message(page)
        job_id = hub.state("waiting")["job_id"]
        for tab in (page, second):
            log = tab.locator("#progress-log .progress-log-event").all_text_contents()
            assert [re.sub(r"^[\d:]+ [AP]M", "", text) for text in log[:2]] == [
                "Submitting the job to the local queue",
                f"Job {job_id} is submitted to the local queue: 2 cores",
            ]
            assert len(log) == len(set(log))
        shown = rows(second)
        assert shown["job"] == f"{job_id} (the local queue)"
        assert shown["requested"] == "2 cores"
        assert shown["until"].endswith(
            "If the job does not run by then, it is cancelled, and its place in the queue is lost."
        )
        assert set(shown) <= {"job", "queue", "ahead", "usual", "since", "until", "requested"}
        assert violations(second, "#batchspawner-start") == []
        second.goto(f"{hub.url}/hub/home")
        own = second.locator("#batchspawner-servers [data-server='']")
        told = own.inner_text()
        assert "Your job waits in the queue" in told
        assert "It needs 2 of the queue's slots, and 0 are free; it is the next" in told
        assert rows(second)["job"] == f"{job_id} (the local queue)"
        assert violations(second, "#batchspawner-servers") == []
        with in_language(page, "de-DE") as german:
            german.goto(f"{hub.url}/hub/home")
            told = german.inner_text("#batchspawner-servers [data-server='']")
            assert "Ihr Job wartet in der Warteschlange" in told
            assert "Er braucht 2 der Plätze der Warteschlange, und 0 sind frei" in told
            assert violations(german, "#batchspawner-servers") == []
            german.goto(f"{hub.url}/hub/spawn-pending/waiting")
            german.wait_for_selector("#batchspawner-state:has-text('wartet in der Warteschlange')")
            told = german.inner_text("#batchspawner-start [aria-live]")
            assert "Er braucht 2 der Plätze der Warteschlange, und 0 sind frei; er ist" in told
            assert "Stoppen Sie einen anderen Server von Ihnen" in told
            german.click("#progress-details summary")
            told = german.inner_text("#progress-log")
            assert f"Job {job_id} ist eingereicht (die lokale Warteschlange): 2 Kerne" in told
            shown = rows(german)
            assert shown["requested"] == "2 Kerne"
            assert "Läuft der Job bis dahin nicht, wird er abgebrochen" in shown["until"]
            assert german.get_attribute("#batchspawner-start", "lang") == "de"
            assert violations(german, "#batchspawner-start") == []
        second.click("text=Show how it starts")
        second.wait_for_url("**/hub/spawn-pending/waiting")
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
        queue(hub.environment, "cancel", job_id, check=False)
    wait_for(lambda: hub.server(fate) is None, 60, "the end of the start")
    page.goto(f"{hub.url}/hub/user/{fate}/")
    page.wait_for_selector(f"text={title}")
    text = page.inner_text("body")
    if fate != "overdue":
        assert detail in text
    assert "Start again" in text or "administrator" in text or "Choose other" in text
    assert "starting up" not in text
    assert violations(page, ".container:has(#batchspawner-again)") == []
    if fate in ("missing", "crashed", "lonely"):
        assert "The end of its log" in text
        assert "Its log is " in text
    if fate in ("missing", "refused"):
        picture(f"failed-{fate}")
    if fate == "missing":
        for locale, words in (
            ("de-DE", ("Auf dem Knoten fehlt etwas", "Das Ende seines Protokolls")),
            ("fr-FR", ("Il manque sur le nœud", "La fin de son journal")),
        ):
            with in_language(page, locale) as other:
                other.goto(f"{hub.url}/hub/user/{fate}/")
                text = other.inner_text(".container:has(#batchspawner-again)")
                assert [one for one in words if one not in text] == []
                assert "module: command not found" in text or "module: not found" in text


def test_the_queue_and_the_start_have_a_limit_each(page, hub):
    with all_slots_taken(hub):
        for user in ("starved", "slow"):
            hub.begin(user)
        wait_for(lambda: hub.server("starved") is None, 60, "the limit in the queue")
        submitted = wait_for(lambda: hub.state("slow").get("submitted_at"), 60, "the submit")
        wait_for(lambda: time.time() > submitted + 4, 10, "more than the limit of its start")
        assert hub.server("slow")["pending"] == "spawn"
    wait_for(lambda: hub.server("slow") is None, 60, "the limit of its start")
    for user, limit in (
        ("starved", "After 3 seconds in the queue, the limit of this Hub: Job"),
        ("slow", "2 seconds after the job's start, the limit of this Hub: Job"),
    ):
        log_in(page, hub, user)
        page.goto(f"{hub.url}/hub/spawn-pending/{user}")
        assert limit in page.inner_text(".container:has(#batchspawner-again)")
        page.context.clear_cookies()


def test_a_page_that_was_open_stops_saying_that_the_server_starts(page, hub):
    start(page, hub, "crashed")
    page.wait_for_selector("#batchspawner-state:has-text('Your server has not started')")
    text = page.inner_text("#batchspawner-start")
    assert "Segmentation fault" in text
    assert "will be redirected" not in text
    assert "is starting" not in text
    assert violations(page, "#batchspawner-start") == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-bs-theme=dark]", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page, "#batchspawner-start") == []
    page.focus("#batchspawner-again")
    page.keyboard.press("Enter")
    page.wait_for_selector("#batchspawner-state:has-text('Your server has not started')")


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
    card = page.locator("#batchspawner-servers [data-server='']")
    assert "It ends soon: save your work." in card.inner_text()
    shown = rows(page)
    assert shown["job"] == f"{hub.state('ready')['job_id']} (the local queue)"
    assert re.search(r"\(in 1[0-2] minutes\)", shown["ends"])
    assert shown["requested"] == "at most 0:12:00"
    card.locator("summary").click()
    page.wait_for_selector("[data-part=log]:has-text('App]')")
    assert violations(page, "#batchspawner-servers") == []
    page.click("#stop")
    page.wait_for_selector("#batchspawner-servers [data-server]", state="detached")


def test_a_server_whose_time_is_over_is_announced(page, hub):
    start(page, hub, "brief")
    hub.wait_ready("brief")
    wait_for(lambda: hub.server("brief") is None, 90, "the end of its time")
    page.goto(f"{hub.url}/hub/home")
    ended = "Your server ended: the time that it had asked for was over (job "
    assert ended in page.inner_text("#batchspawner-servers")
    assert page.locator("#batchspawner-servers [data-server]").count() == 0
    with in_language(page, "de-DE") as german:
        german.goto(f"{hub.url}/hub/home")
        told = german.inner_text("#batchspawner-servers")
        assert "Ihr Server ist zu Ende: die angeforderte Zeit war abgelaufen (Job " in told
    page.goto(f"{hub.url}/hub/user/brief/")
    page.wait_for_selector(f"text={ended}")
    assert json.loads(queue(hub.environment, "query"))["jobs"] == []
