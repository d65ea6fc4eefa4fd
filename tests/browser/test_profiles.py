"""What a user sees and does on the page of the profiles."""

from __future__ import annotations

import json

import pytest

from tests.browser.accessibility import violations
from tests.hubs import Hub, proxy_command, wait_for

CONFIG = """
import sys
from batchspawner import use_pages
use_pages(c)
QUEUES = {
    "debug": {"nprocs": 2, "runtime": "1:00:00", "label": "Debug", "help": "Starts soon."},
    "long": {"nprocs": 64, "runtime": "7d", "label": "Long", "help": "Waits over night."},
}
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.ProfilesSpawner.profiles = [
    {"display_name": "Small", "description": "One core, for looking around.",
     "spawner": "batchspawner.LocalQueueSpawner", "override": {"req_nprocs": "1"}},
    {"display_name": "Cluster", "description": "Choose what your work needs.",
     "spawner": "batchspawner.LocalQueueSpawner",
     "override": {"resource_form": True, "queue_limits": QUEUES,
                  "resource_fields": ["queue", "nprocs", "runtime", "account"]},
     "profile_options": {"software": {"display_name": "Software", "choices": {
         "stable": {"display_name": "Stable", "environment": {"variables": {"SOFT": "stable"}}},
         "next": {"display_name": "Next", "environment": {"variables": {"SOFT": "next"}}}},
         "unlisted_choice": {"enabled": True, "display_name": "Own environment",
             "validation_regex": "/[a-z/]+", "validation_message": "give the path of a folder",
             "environment": {"variables": {"SOFT": "{value}"}}}}}},
    {"display_name": "Team", "spawner": "batchspawner.LocalQueueSpawner", "groups": ["team"]},
]
c.LocalQueueSpawner.req_homedir = {folder!r}
# After the second in which JupyterHub shows a failure in the form.
c.LocalQueueSpawner.req_prologue = '[ "$SOFT" != /missing ] || { sleep 3; module load jupyter; }'
c.Spawner.args = ["--allow-root"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 5}
"""
REFUSED = "Cores (nprocs): '5' is not allowed; choose from 1 to 2 with queue debug"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    folder = tmp_path_factory.mktemp("profiles")
    environment = {
        "BATCHSPAWNER_QUEUE_DIR": str(folder / "queue"),
        "BATCHSPAWNER_QUEUE_SLOTS": "64",
        "BATCHSPAWNER_QUEUE_GRACE": "1",
    }
    config = CONFIG.replace("{folder!r}", repr(str(folder)))
    one = Hub(folder, config, ("ada",), **environment).start()
    one.add_users()
    yield one
    if one.server("ada"):
        one.end("ada")
    one.stop()


@pytest.fixture
def form(page, hub):
    """The page of the profiles, for a user who is logged in."""
    return opened(page, hub)


def opened(page, hub, query: str = ""):
    page.goto(f"{hub.url}/hub/spawn{query}")
    if page.locator("#username_input").count():
        page.fill("#username_input", "ada")
        page.fill("#password_input", hub.password)
        page.click("#login_submit")
    page.wait_for_selector("#spawn_form")
    return page


def submit(form) -> None:
    form.click("#spawn_form [type=submit]")


def findings(page) -> list[tuple[str, str]]:
    """Return what axe-core reports as serious in our part of the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, context="[data-bs-form]").response["violations"]
    return [
        (one["id"], json.dumps([node["html"] for node in one["nodes"]]))
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_the_options_of_the_chosen_profile_are_shown_and_no_others(form, picture):
    labels = form.locator("input[name=profile] + strong").all_inner_texts()
    assert labels == ["Small", "Cluster"]
    cores = form.get_by_label("Cores", exact=True)
    assert not cores.is_visible()
    form.get_by_label("Small").focus()
    form.keyboard.press("ArrowDown")
    assert form.get_by_label("Cluster").is_checked()
    assert cores.is_visible()
    assert not form.get_by_label("Own environment").is_visible()
    picture("profiles")


def test_another_queue_has_other_limits(form):
    form.get_by_label("Cluster").check()
    cores = form.get_by_label("Cores", exact=True)
    hint = form.locator("[data-bs-field=nprocs] [data-bs-allowed]")
    assert (cores.get_attribute("max"), hint.inner_text()) == ("2", "Choose from 1 to 2.")
    form.get_by_label("Queue", exact=True).select_option("long")
    assert (cores.get_attribute("max"), hint.inner_text()) == ("64", "Choose from 1 to 64.")


@pytest.mark.parametrize(
    ("label", "wrong", "right"),
    [("Cores", "5", "2"), ("Another time", "2h", "1h"), ("Another time", "soon", "30")],
)
def test_the_browser_refuses_what_is_not_allowed(form, label, wrong, right):
    form.get_by_label("Cluster").check()
    form.get_by_label("Time", exact=True).select_option("--other")
    form.get_by_label("Another time", exact=True).fill("30")
    field = form.get_by_label(label, exact=True)
    field.fill(wrong)
    submit(form)
    assert form.url.endswith("/hub/spawn")
    assert field.evaluate("one => one.validity.valid") is False
    assert field.get_attribute("aria-invalid") == "true"
    field.fill(right)
    assert field.evaluate("one => one.validity.valid") is True


def test_form_and_rest_api_are_refused_by_the_server_with_the_same_words(form, hub):
    form.get_by_label("Cluster").check()
    form.get_by_label("Cores", exact=True).fill("5")
    form.get_by_label("Time", exact=True).select_option("0:30:00")
    form.evaluate("document.getElementById('spawn_form').noValidate = true")
    submit(form)
    form.wait_for_selector(".spawn-error-msg")
    assert form.locator(".spawn-error-msg").inner_text() == f"Error: {REFUSED}"
    assert form.get_by_label("Cluster").is_checked()
    assert form.get_by_label("Time", exact=True).input_value() == "0:30:00"

    options = {"profile": "cluster", "nprocs": "5"}
    answer = hub.begin("ada", options)
    assert (answer.status_code, answer.json()["message"]) == (400, REFUSED)
    assert hub.server("ada") is None


def test_the_form_and_its_refusals_are_in_the_language_of_the_browser(chromium, hub):
    context = chromium.new_context(locale="de-CH", viewport={"width": 390, "height": 800})
    context.set_default_timeout(300_000)
    try:
        form = opened(context.new_page(), hub)
        assert form.inner_text("[data-bs-profiles] legend") == "Wählen Sie ein Profil"
        form.get_by_label("Cluster").check()
        hint = form.locator("[data-bs-field=nprocs] [data-bs-allowed]")
        assert hint.inner_text() == "Wählen Sie 1 bis 2."
        form.get_by_label("Warteschlange", exact=True).select_option("long")
        assert hint.inner_text() == "Wählen Sie 1 bis 64."
        assert findings(form) == []
        form.get_by_label("Kerne", exact=True).fill("65")
        form.evaluate("document.getElementById('spawn_form').noValidate = true")
        submit(form)
        told = form.locator(".spawn-error-msg").inner_text()
        assert "Kerne (nprocs): '65' ist nicht erlaubt; wählen Sie 1 bis 64 bei" in told
    finally:
        context.close()


def test_an_address_with_wrong_options_shows_the_form_with_the_same_words(page, hub):
    form = opened(page, hub, "?profile=cluster&nprocs=5")
    assert form.locator(".spawn-error-msg").inner_text() == f"Error: {REFUSED}"


def test_a_profile_of_another_group_is_refused_however_it_is_asked_for(page, hub):
    words = "there is no profile 'team'; choose one of small, cluster"
    form = opened(page, hub, "?profile=team")
    assert form.locator(".spawn-error-msg").inner_text() == f"Error: {words}"
    form.locator("input[name=profile]").first.evaluate("one => { one.value = 'team' }")
    form.locator("input[name=profile]").first.check()
    submit(form)
    form.wait_for_selector(".spawn-error-msg")
    assert form.locator(".spawn-error-msg").inner_text() == f"Error: {words}"
    answer = hub.begin("ada", {"profile": "team"})
    assert (answer.status_code, answer.json()["message"]) == (400, words)


def test_a_server_starts_and_the_next_form_has_its_choice(form, hub, picture):
    form.get_by_label("Cluster").check()
    form.get_by_label("Queue", exact=True).select_option("long")
    form.get_by_label("Cores", exact=True).fill("3")
    form.get_by_label("Software", exact=True).select_option("--other")
    form.locator("input:visible[name$='--other']").fill("/home/ada")
    picture("resources")
    submit(form)
    hub.wait_ready("ada")
    job = hub.state("ada")["child_state"]["job_id"]
    script = (hub.folder / "queue" / "jobs" / job / "script").read_text()
    assert "#QUEUE --slots=3\n" in script
    assert "export SOFT=/home/ada\n" in script
    hub.end("ada")

    opened(form, hub)
    assert form.get_by_label("Cluster").is_checked()
    assert form.get_by_label("Queue", exact=True).input_value() == "long"
    assert form.get_by_label("Cores", exact=True).input_value() == "3"
    assert form.locator("input:visible[name$='--other']").input_value() == "/home/ada"


def tab_to(page, text: str) -> None:
    """Press Tab until the element with this text has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            return
    raise AssertionError(f"the keyboard does not reach {text!r}")


def test_who_has_only_keys_and_a_dark_phone_chooses_otherwise_after_a_failure(form, hub, picture):
    form.set_viewport_size({"width": 390, "height": 844})
    form.emulate_media(color_scheme="dark")
    form.get_by_label("Cluster").check()
    form.get_by_label("Software", exact=True).select_option("--other")
    form.locator("input:visible[name$='--other']").fill("/missing")
    form.keyboard.press("Enter")
    form.wait_for_selector("text=Something that the server needs is missing on the node.")
    form.wait_for_selector("html[data-bs-theme=dark]", state="attached")
    assert form.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(form, ".container:has(#batchspawner-again)") == []
    picture("failed-phone-choices")
    tab_to(form, "Other choices")
    form.keyboard.press("Enter")
    form.wait_for_url("**/hub/spawn/ada")
    form.wait_for_selector("#spawn_form")
    assert form.get_by_label("Cluster").is_checked()
    assert form.locator("input:visible[name$='--other']").input_value() == "/missing"
    assert findings(form) == []


def test_the_page_fits_on_a_phone(form):
    form.set_viewport_size({"width": 375, "height": 812})
    form.get_by_label("Cluster").check()
    assert form.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("profile", ["Small", "Cluster"])
def test_axe_finds_nothing_serious(form, profile):
    form.get_by_label(profile).check()
    form.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert findings(form) == []


def test_the_form_works_without_javascript(chromium, hub):
    context = chromium.new_context(java_script_enabled=False)
    form = opened(context.new_page(), hub)
    form.get_by_label("Cluster").check()
    form.get_by_label("Cores", exact=True).fill("2")
    form.locator("select[name='cluster--queue']").select_option("debug")
    form.locator("select[name='cluster--software']").select_option("stable")
    submit(form)
    wait_for(lambda: hub.server("ada"), 20, "the server")
    hub.wait_ready("ada")
    hub.end("ada")
    context.close()
