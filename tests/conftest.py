"""Share one running site of each kind among all tests of a session."""

from __future__ import annotations

import sys

import pytest

from tests.sites import REAL, SITES


def pytest_collection_modifyitems(items):
    for item in items:
        params = getattr(item, "callspec", None) and item.callspec.params
        if params and params.get("site") in REAL:
            item.add_marker(params["site"])
            item.add_marker("scheduler")


@pytest.fixture(autouse=True)
def _databases():
    yield
    site = sys.modules.get("tests.spawners.site")
    if site:
        site.close_databases()


@pytest.fixture(scope="session", params=list(SITES))
def site(request, tmp_path_factory):
    """A site that can run jobs, for the whole session."""
    kind = SITES[request.param]
    if kind.unavailable:
        pytest.skip(f"no {request.param}: {kind.unavailable}")
    one = kind(tmp_path_factory.mktemp(request.param))
    one.start()
    yield one
    one.stop()
