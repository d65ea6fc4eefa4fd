"""Share one running site of each kind among all tests of a session."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.sites import REAL, SITES, Site, SlurmSite, nothing_left
from tests.spooler import SpoolerSite

pytest_plugins = ["tests.outcomes", "tests.time_limits"]

# Who starts us in the background may have Ctrl-C ignored, and so would all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A make that is run by a make says where it is.
for _name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(_name, None)


HERE = Path(__file__).parent
# What needs more than Python, one target of the Makefile each.
BIG = ("hub", "clusters", "kernels", "scheduler", "browser", "packaging", "tutorial", "chaos")
# Folders and files of tests that run jobs of a small queue, and mostly wait for them.
WAITING = (
    *("functions", "localqueue", "magics", "secrets", "test_contract.py"),
    "labextension/test_server.py",
    "docs/test_adding_a_scheduler.py",
)


def pytest_collection_modifyitems(items):
    """Mark each test with what it needs, after the folders have marked theirs."""
    for item in items:
        params = getattr(item, "callspec", None) and item.callspec.params
        if params and params.get("site") in REAL:
            item.add_marker(params["site"])
            item.add_marker("scheduler")
        if not any(map(item.get_closest_marker, BIG)):
            waits = any(item.path.is_relative_to(HERE / one) for one in WAITING)
            item.add_marker("jobs" if waits else "unit")
    items[:] = [one for one in items if one.get_closest_marker("generations") or not again(one)]
    items[:] = [one for one in items if one.path.name == "test_contract.py" or not brought(one)]


def again(item) -> bool:
    """Return whether a test runs on a second generation of a scheduler that it has run on."""
    return item.get_closest_marker("slurm24") is not None


def brought(item) -> bool:
    """Check whether a test runs on the scheduler of another distribution."""
    params = getattr(item, "callspec", None) and item.callspec.params
    return bool(params) and params.get("site") == SpoolerSite.name


@pytest.fixture
def group_umask():
    """A umask as at sites whose users work in projects: the group may write."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _databases():
    yield
    site = sys.modules.get("tests.spawners.site")
    if site:
        site.close_databases()


@pytest.fixture(scope="session", params=[*SITES, SpoolerSite.name])
def site(request, tmp_path_factory):
    """A site that can run jobs, for the whole session."""
    kind = {**SITES, SpoolerSite.name: SpoolerSite}[request.param]
    if kind.unavailable:
        pytest.skip(f"no {request.param}: {kind.unavailable}")
    one = kind(tmp_path_factory.mktemp(request.param))
    one.start()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def _nothing_is_left(request, has_failed):
    """Remove what a test leaves behind, so that the next one, or its repetition, starts clean."""
    # Some folders of tests have a fixture of that name which is something else.
    one = request.getfixturevalue("site") if "site" in request.fixturenames else None
    if not isinstance(one, Site):
        yield
        return
    with nothing_left(one, has_failed):
        yield


@pytest.fixture
def strict_slurm(tmp_path):
    """A Slurm that ends what uses more memory than it asked for."""
    if SlurmSite.unavailable or not os.access("/sys/fs/cgroup/memory", os.W_OK):
        pytest.skip("needs a Slurm, and the memory controller of cgroup v1")
    site = SlurmSite(tmp_path)
    site.cluster.start("--hold-memory")
    yield site
    site.stop()
