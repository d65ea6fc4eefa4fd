from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.alone import ids
from tests.hubs import proxy_command, wait_for
from tests.sites import start_hub

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("hub")
    # The handler is the same on every site.
    items[:] = [
        one
        for one in items
        if "test_handler" not in one.nodeid or one.callspec.params["site"] == "local"
    ]


@pytest.fixture(scope="session", autouse=True)
def _proxy():
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")


@pytest.fixture(autouse=True)
def _no_job_is_left(request):
    """Let each test wait for the end of its jobs, so that the next one finds none."""
    site = request.getfixturevalue("site") if "site" in request.fixturenames else None
    before = ids(site) if site else set()
    yield
    if site:
        wait_for(lambda: ids(site) <= before, 60, "the end of the test's jobs")


@pytest.fixture(scope="session")
def shared_hub(site, tmp_path_factory):
    """A Hub that most tests of a site share; each ends the servers that it starts."""
    hub = start_hub(site, tmp_path_factory.mktemp(f"{site.name}-hub"))
    yield hub
    hub.stop()


@pytest.fixture
def hub(shared_hub):
    yield shared_hub
    for user in shared_hub.users:
        if shared_hub.server(user):
            shared_hub.end(user)
