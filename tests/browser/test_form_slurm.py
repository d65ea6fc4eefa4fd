"""What the resource form shows of a real Slurm before anything is submitted."""

from __future__ import annotations

import re

import pytest

from tests.browser.test_profiles import findings
from tests.hubs import Hub, proxy_command, wait_for
from tests.sites import SlurmSite, no_jobs_left

pytestmark = [pytest.mark.slurm, pytest.mark.scheduler]

CONFIG = """
c.JupyterHub.spawner_class = "slurm"
c.SlurmSpawner.resource_form = True
c.SlurmSpawner.trust_reported_host = True
c.SlurmSpawner.presets = {"Small": {"queue": "debug", "nprocs": 2, "runtime": "5"}}
"""
USER = "jhalice"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if SlurmSite.unavailable:
        pytest.skip(f"no slurm: {SlurmSite.unavailable}")
    one = SlurmSite(tmp_path_factory.mktemp("cluster"))
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def hub(cluster, tmp_path_factory):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    folder = tmp_path_factory.mktemp("hub")
    one = Hub(folder, CONFIG, cluster.users, **cluster.environment).start()
    one.add_users()
    yield one
    if one.server(USER):
        one.end(USER)
    one.stop()
    no_jobs_left(cluster)


@pytest.fixture
def form(page, hub):
    page.goto(f"{hub.url}/hub/spawn")
    page.fill("#username_input", USER)
    page.fill("#password_input", hub.password)
    page.click("#login_submit")
    page.wait_for_selector("#spawn_form")
    return page


@pytest.fixture
def full_queue(cluster):
    """The queue "debug", all of whose cores a job has for some minutes."""
    one = cluster.cluster
    options = ("-p", "debug", "-n", "256", "-t", "9", "-o", "/dev/null", "--wrap", "sleep 600")
    job = one.run("sbatch", "--parsable", *options).strip()
    wait_for(lambda: "RUNNING" in one.run("squeue", "-h", "-j", job, "-o", "%T"), 30, "the job")
    yield
    one.run("scancel", job)


def choose(form, label: str, value: str) -> None:
    form.get_by_label(label, exact=True).select_option(value)


def test_a_wait_is_announced_with_a_queue_that_starts_at_once(full_queue, form, picture):
    form.set_viewport_size({"width": 1100, "height": 1150})
    choose(form, "Queue", "debug")
    form.get_by_label("Cores", exact=True).fill("256")
    form.wait_for_selector("text=It would start in about")
    form.wait_for_selector("text=With queue normal it would start at once.")
    picture("estimate")
    form.click("text=Choose that")
    assert form.get_by_label("Queue", exact=True).input_value() == "normal"
    assert form.get_by_label("Cores", exact=True).input_value() == "256"
    form.wait_for_selector("text=It would start at once.")


def test_the_form_follows_the_chosen_queue_with_its_gpus_and_what_is_free(form):
    assert form.locator("[data-bs-queue]:visible").get_attribute("data-bs-queue") == "normal"
    assert not form.get_by_label("GPUs", exact=True).is_visible()
    choose(form, "Queue", "gpu")
    bars = form.locator("[data-bs-queue]:visible")
    assert bars.get_attribute("data-bs-queue") == "gpu"
    assert re.findall(r"GPUs (\w+)\s+(.+)", bars.inner_text()) == [
        ("a100", "1 of 1 free"),
        ("v100", "1 of 1 free"),
    ]
    gpus = form.get_by_label("GPUs", exact=True)
    assert (gpus.input_value(), gpus.get_attribute("max")) == ("1", "2")
    choose(form, "Type of GPU", "a100")
    assert gpus.get_attribute("max") == "1"
    form.wait_for_selector("text=It would start at once.")
    form.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert findings(form) == []
    form.set_viewport_size({"width": 375, "height": 812})
    assert form.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    choose(form, "Queue", "normal")
    assert not gpus.is_visible()


def test_presets_fill_the_form_and_a_user_saves_one_with_any_name(form):
    choose(form, "Preset", "Small")
    assert form.get_by_label("Queue", exact=True).input_value() == "debug"
    assert form.get_by_label("Cores", exact=True).input_value() == "2"
    form.get_by_label("Cores", exact=True).fill("3")
    form.click("text=Save this choice")
    form.get_by_label("Name of the preset").fill("<b>mine</b>")
    form.keyboard.press("Enter")
    assert form.url.endswith("/hub/spawn")
    form.reload()
    choose(form, "Preset", "<b>mine</b>")
    assert form.get_by_label("Cores", exact=True).input_value() == "3"
    form.click("#spawn_form summary:has-text('Save')")
    form.click("text=Forget")
    assert form.locator("#bs-preset option").all_inner_texts() == [
        "(what is chosen below)",
        "Small",
    ]


def begun(hub) -> None:
    wait_for(lambda: hub.server(USER), 20, "the server")
    hub.wait_ready(USER)


def test_the_last_choice_starts_again_whatever_the_fields_say(form, hub):
    choose(form, "Queue", "debug")
    form.get_by_label("Cores", exact=True).fill("2")
    form.keyboard.press("Enter")
    begun(hub)
    first = hub.api("GET", f"users/{USER}").json()["servers"][""]["user_options"]
    hub.end(USER)
    form.goto(f"{hub.url}/hub/spawn")
    form.get_by_label("Cores", exact=True).fill("5")
    form.click("text=Start again as last time")
    begun(hub)
    assert hub.api("GET", f"users/{USER}").json()["servers"][""]["user_options"] == first
    assert first == {"queue": "debug", "nprocs": "2"}
