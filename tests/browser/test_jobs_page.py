"""What administrators see of all jobs of a Hub, and users of their own."""

from __future__ import annotations

import csv
import re

import pytest

from tests.browser.accessibility import violations
from tests.browser.test_pages import all_slots_taken, in_language, log_in
from tests.hubs import Hub, proxy_command, wait_for

HOSTILE = "<img src=x onerror=document.title='evil'>\"'&{{7*7}}</script><script>alert(1)</script>"

CONFIG = """
from batchspawner import use_pages
from batchspawner.schedulers import scheduler_class
use_pages(c)
c.JupyterHub.spawner_class = "localqueue"
c.Authenticator.admin_users = {"root"}
c.JupyterHub.allow_named_servers = True
c.Spawner.args = ["--allow-root"]
# Names and reasons as nobody gives them who means well.
HOSTILE = %r
c.LocalQueueSpawner.req_account = HOSTILE
scheduler = scheduler_class("local")
explain = scheduler.explain
def hostile(self, reason):
    known = explain(reason)
    return known and known.__class__(**{**vars(known), "meaning": HOSTILE + known.meaning})
scheduler.explain = hostile
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    folder = tmp_path_factory.mktemp("jobs")
    environment = {
        "BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"),
        "BATCHSPAWNER_QUEUE_SLOTS": "2",
        "BATCHSPAWNER_QUEUE_GRACE": "1",
    }
    one = Hub(folder, CONFIG % HOSTILE, ("root", "ada", "ben"), **environment).start()
    one.add_users()
    yield one
    one.stop()


@pytest.fixture
def waiting(hub):
    """A Hub in which a server of one user runs, and one of another waits."""
    hub.begin("ben")
    hub.wait_ready("ben")
    with all_slots_taken(hub):
        hub.begin("ada")
        wait_for(lambda: hub.state("ada").get("job_id"), 20, "the job")
        yield hub
    for user in ("ada", "ben"):
        hub.end(user)


@pytest.fixture
def idle(hub):
    """A Hub on which no server runs, whatever a test before has left."""
    yield hub
    for name in ("lab", ""):
        hub.end("ada", name)


def open_table(page, hub):
    page.goto(f"{hub.url}/hub/home")
    page.click("nav >> text=Jobs")
    page.wait_for_selector("#batchspawner-jobs[data-ready]")


def row_of(page, user: str):
    return page.locator(f"#batchspawner-jobs-scroll tbody tr:has(td:text-is('{user}'))")


def test_an_administrator_sees_all_jobs_and_stops_one(page, waiting, picture, tmp_path):
    log_in(page, waiting, "root")
    open_table(page, waiting)
    wait_for(lambda: row_of(page, "ada").inner_text().count(HOSTILE) == 2, 30, "its reason")
    assert page.title() == "Jobs"
    assert page.locator("#batchspawner-jobs img").count() == 0
    assert "1 to 2 of 2 jobs" in page.inner_text("#batchspawner-jobs-shown")
    page.click("#batchspawner-pictures summary")
    # A test that is repeated has started servers before.
    pictures = page.inner_text("#batchspawner-pictures")
    told = re.search(r"Started: ([1-9]\d*)\. Failed: 0\.", pictures)
    assert told
    page.wait_for_selector("#batchspawner-queues")
    free = page.locator("#batchspawner-queues tbody tr").all_inner_texts()
    assert [one.split("\t")[-3:] for one in free] == [["Cores", "1 of 2 free", ""]]
    assert page.locator("#batchspawner-queues meter").get_attribute("value") == "50"
    assert violations(page, "#batchspawner-jobs") == []
    with in_language(page, "de-DE") as german:
        german.goto(page.url)
        german.wait_for_selector("#batchspawner-jobs[data-ready]")
        assert "1 bis 2 von 2 Jobs" in german.inner_text("#batchspawner-jobs-shown")
        pictures = german.inner_text("#batchspawner-pictures")
        assert f"Gestartet: {told[1]}. Gescheitert: 0." in pictures
        assert row_of(german, "ben").locator("td:text-is('bereit')").count() == 1
        assert violations(german, "#batchspawner-jobs") == []
    page.fill("#batchspawner-jobs-filter", "BEN ready")
    assert "1 to 1 of 1 jobs that match, of 2" in page.inner_text("#batchspawner-jobs-shown")
    assert row_of(page, "ada").count() == 0
    page.fill("#batchspawner-jobs-filter", "")
    head = page.locator("th[data-column=user]")
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("#batchspawner-jobs-scroll tbody td:first-child").all_inner_texts() == [
        "ben",
        "ada",
    ]
    with page.expect_download() as download:
        page.click("#batchspawner-jobs-csv")
    download.value.save_as(tmp_path / "jobs.csv")
    found = list(csv.DictReader((tmp_path / "jobs.csv").read_text().splitlines()))
    assert {one["user"] for one in found} == {"ada", "ben"}
    page.on("dialog", lambda dialog: dialog.accept())
    row_of(page, "ben").locator("button").click()
    waiting.wait_stopped("ben")
    row_of(page, "ben").wait_for(state="detached")
    assert row_of(page, "ada").count() == 1


def test_a_user_sees_no_job_of_another(page, waiting):
    log_in(page, waiting, "ben")
    page.goto(f"{waiting.url}/hub/home")
    assert page.locator("nav >> text=Jobs").count() == 0
    own = page.locator("#batchspawner-servers [data-server]")
    assert own.count() == 1
    assert f"{waiting.state('ben')['job_id']} (the local queue)" in own.inner_text()
    assert waiting.state("ada")["job_id"] not in own.inner_text().split()
    paths = ["batchspawner/jobs", "api/batchspawner/jobs", "api/batchspawner/jobs?format=csv"]
    for path in paths:
        answer = page.goto(f"{waiting.url}/hub/{path}")
        assert answer.status == 403, path
        assert waiting.state("ada")["job_id"] not in page.inner_text("main, body")
    for path in ("api/batchspawner/servers/ada", "api/batchspawner/log/ada"):
        answer = page.goto(f"{waiting.url}/hub/{path}")
        assert answer.status in (403, 404), path
        assert '"job_id"' not in page.inner_text("body")


def test_users_see_named_servers_come_and_go_and_stop_one(page, idle):
    log_in(page, idle, "ada")
    page.goto(f"{idle.url}/hub/home")
    assert page.locator("#batchspawner-servers [data-server]").count() == 0
    idle.begin("ada")
    idle.api("POST", "users/ada/servers/lab", json={})
    lab = page.locator("#batchspawner-servers [data-server=lab]")
    lab.locator("[data-part=open]").wait_for()
    page.wait_for_selector("#batchspawner-servers [data-server=''] [data-part=open]")
    assert lab.locator("h2").inner_text() == "Server lab"
    assert HOSTILE in lab.locator("[data-row=requested]").inner_text()
    assert page.locator("#batchspawner-servers img, #batchspawner-servers i").count() == 0
    lab.locator("summary").click()
    lab.locator("[data-part=log]:has-text('jupyter')").wait_for()
    assert violations(page, "#batchspawner-servers") == []
    page.on("dialog", lambda dialog: dialog.accept())
    lab.locator("[data-part=stop]").click()
    # The page may load again: JupyterHub's own buttons on it show another state then.
    page.wait_for_selector("#batchspawner-cards:not(:has([data-server=lab])) [data-server='']")
