from __future__ import annotations

from pathlib import Path

import pytest

from tests.hubs import proxy_command
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


@pytest.fixture(scope="session")
def shared_hub(site, tmp_path_factory):
    """A Hub that most tests of a site share; `hub` ends the servers that a test starts."""
    hub = start_hub(site, tmp_path_factory.mktemp(f"{site.name}-hub"))
    yield hub
    hub.stop()


@pytest.fixture
def hub(shared_hub):
    """The shared Hub without servers, before the test and after it."""
    if shared_hub.process.poll() is not None:
        shared_hub.renew()
    yield shared_hub
    try:
        for user in shared_hub.users:
            if shared_hub.server(user):
                shared_hub.end(user)
    except BaseException:
        shared_hub.renew()
        raise
