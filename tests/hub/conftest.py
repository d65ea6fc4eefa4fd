from __future__ import annotations

import pytest

from tests.hub.sites import SITES, start_hub
from tests.hubs import proxy_command


def pytest_collection_modifyitems(items):
    for item in items:
        if "/hub/" in str(item.path):
            item.add_marker("hub")
            if "slurm" in item.name:
                item.add_marker("slurm")


@pytest.fixture(scope="session", params=list(SITES))
def site(request, tmp_path_factory):
    """A site that can run jobs, for the whole session."""
    kind = SITES[request.param]
    if kind.unavailable:
        pytest.skip(f"no {request.param}: {kind.unavailable}")
    if not proxy_command():
        pytest.skip("configurable-http-proxy is not installed (make proxy)")
    one = kind(tmp_path_factory.mktemp(request.param))
    one.start()
    yield one
    one.stop()


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
