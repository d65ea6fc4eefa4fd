"""What a user's browser can get from another user's server."""

from __future__ import annotations

import pytest

from tests.hubs import Hub, proxy_command

CONFIG = """
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
    one = Hub(tmp_path, CONFIG, ("ada", "ben"), **environment).start()
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
    for path in ("lab", "api/contents", "terminals/1", "files/", "api/kernels"):
        answer = page.goto(f"{hub.url}/user/ada/{path}")
        assert answer.status in (403, 404), path
        assert "Launcher" not in page.content()
    # Not even past the proxy, from the node itself, where only the server can refuse.
    direct = f"http://{place['job_host']}:{place['job_port']}/user/ada"
    assert page.request.get(f"{direct}/api/contents").status == 403
    page.goto(f"{direct}/lab")
    assert not page.url.startswith(f"{direct}/lab")
    assert page.locator(".jp-Launcher").count() == 0


def test_her_own_browser_reaches_it(page, hub):
    hub.begin("ada")
    hub.wait_ready("ada")
    log_in(page, hub, "ada")
    page.goto(f"{hub.url}/user/ada/lab")
    page.wait_for_selector(".jp-Launcher")
