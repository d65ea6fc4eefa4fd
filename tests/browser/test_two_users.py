"""What a user's browser can get from another user's server."""

from __future__ import annotations

import pytest

from tests.hubs import Hub, proxy_command

CONFIG = """
from importlib.resources import files
LAB = files("batchspawner.labextension")
c.Spawner.environment = {
    # The account that runs the tests may have jobs of its own.
    "BATCHSPAWNER_CALL_DIR": f"{folder}/calls", "XDG_DATA_HOME": f"{folder}/data",
    "JUPYTER_PATH": f"{LAB}/share/jupyter", "JUPYTER_CONFIG_PATH": f"{LAB}/etc/jupyter",
}
c.JupyterHub.spawner_class = "localqueue"
c.Spawner.args = ["--allow-root"]
"""


@pytest.fixture
def hub(tmp_path):
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    environment = {
        "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
        "BATCHSPAWNER_QUEUE_GRACE": "1",
    }
    config = CONFIG.replace("{folder}", str(tmp_path))
    one = Hub(tmp_path, config, ("ada", "ben"), **environment).start()
    one.add_users()
    yield one
    one.end("ada")
    one.stop()


def log_in(page, hub, user: str) -> None:
    page.goto(f"{hub.url}/hub/login")
    page.fill("#username_input", user)
    page.fill("#password_input", hub.password)
    page.click("#login_submit")
    page.wait_for_url(lambda url: "login" not in url)


def test_a_second_user_does_not_reach_the_first_ones_server(page, hub):
    hub.begin("ada")
    hub.wait_ready("ada")
    place = hub.state("ada")
    log_in(page, hub, "ben")
    jobs = ("batchspawner/jobs", "batchspawner/jobs/server/log", "batchspawner/channel")
    for path in ("lab", "api/contents", "terminals/1", "files/", "api/kernels", *jobs):
        answer = page.goto(f"{hub.url}/user/ada/{path}")
        assert answer.status in (403, 404), path
        assert "Launcher" not in page.content()
    # Not even past the proxy, from the node itself, where only the server can refuse.
    direct = f"http://{place['job_host']}:{place['job_port']}/user/ada"
    for path in ("api/contents", *jobs):
        assert page.request.get(f"{direct}/{path}").status == 403, path
    page.goto(f"{direct}/lab")
    assert not page.url.startswith(f"{direct}/lab")
    assert page.locator(".jp-Launcher").count() == 0


def test_her_own_browser_reaches_it_and_says_when_it_has_ended(page, hub, picture):
    hub.begin("ada")
    hub.wait_ready("ada")
    job_id = hub.state("ada")["job_id"]
    log_in(page, hub, "ada")
    page.goto(f"{hub.url}/user/ada/lab")
    page.wait_for_selector(".jp-Launcher")
    page.keyboard.press("Alt+Shift+J")
    page.wait_for_selector(f"#batchspawner-jobs [data-job=server] >> text=job {job_id}")
    hub.end("ada")
    told = page.wait_for_selector(".jp-Dialog:has-text('This server has ended')").inner_text()
    assert f"The job of this server ({job_id}) has ended." in told
    assert "Its job was cancelled, or it was stopped in the Hub." in told
    picture("lab-ended")
    page.click(".jp-Dialog button:has-text('Start again')")
    page.wait_for_url("**/user/ada/**")
    hub.wait_ready("ada")
