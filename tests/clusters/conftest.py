"""A queue, a data folder and an IPython folder of its own for each test."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ipyparallel")

from batchspawner.clusters import Cluster, connect
from tests.hubs import wait_for
from tests.processes import those_with
from tests.sshd import Sshd, make_key, unavailable

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("unit"):
            item.add_marker("clusters")


class Place:
    """Where a test's jobs run, and what is left of them."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data" / "batchspawner"
        self.profiles = folder / "ipython"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BATCHSPAWNER_SCHEDULER": "local",
            "BATCHSPAWNER_QUEUE_DIR": str(self.folder / "queue"),
            "BATCHSPAWNER_QUEUE_SLOTS": "2",
            "BATCHSPAWNER_QUEUE_GRACE": "5",
            "XDG_DATA_HOME": str(self.data.parent),
            "IPYTHONDIR": str(self.profiles),
        }

    def fill(self, seconds: float) -> str:
        """Leave no room in the queue for a while."""
        return self.queue("submit", "--slots=2", script=f"#!/bin/sh\nsleep {seconds}\n").strip()

    def queue(self, *argv: str, script: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "batchspawner.localqueue", *argv],
            env=os.environ,
            input=script,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout

    def jobs(self) -> dict[str, str]:
        return {job["id"]: job["state"] for job in json.loads(self.queue("query"))["jobs"]}

    def left(self) -> list[str]:
        """Return the files and folders of jobs that are still there."""
        places = (self.data / "clusters", self.data / "connections")
        found = [path for place in places if place.exists() for path in place.iterdir()]
        return sorted(map(str, [*found, *self.profiles.glob("profile_job_*")]))


@contextlib.contextmanager
def own_place(folder):
    """Make this process submit to a queue of its own; at the end nothing of it runs any more."""
    one = Place(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in one.environment.items():
            patch.setenv(name, value)
        yield one
        left = list(one.jobs())
        if left:
            one.queue("cancel", *left)
            one.queue("wait", "--timeout", "20", *left)
    wait_for(lambda: those_with(f"XDG_DATA_HOME={one.data.parent}") == [], 20, "all processes")


@pytest.fixture
def place(tmp_path):
    with own_place(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def remote_site(tmp_path_factory):
    """A cluster of two engines on a host behind another one, both only for ssh."""
    if unavailable():
        pytest.skip(unavailable())
    folder = tmp_path_factory.mktemp("remote")
    with own_place(folder) as place:
        cluster = Cluster(2).start()
        try:
            cluster.client().close()
            one = RemoteSite(place, cluster)
            yield one
            one.stop()
        finally:
            cluster.stop()
    assert place.left() == []


@pytest.fixture
def laptop(remote_site, tmp_path, monkeypatch):
    """A machine that has nothing but ssh."""
    one = Place(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(one.data.parent))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("IPYTHONDIR", str(one.profiles))
    remote_site.start()
    yield one
    assert one.left() == []
    assert list(tmp_path.glob("bs-*")) == []


class RemoteSite:
    """The way to a cluster: a host to jump over, and the host behind it."""

    def __init__(self, place, cluster):
        self.place, self.cluster = place, cluster
        folder = place.folder
        key = make_key(folder / "key")
        self.jump = Sshd(folder / "jump", key, {})
        self.login = Sshd(folder / "login", key, place.environment)
        self.config = folder / "ssh_config"
        self.config.write_text(
            self.jump.client_entry("jump", key)
            + self.login.client_entry("login", key, "ProxyJump jump")
        )
        self.options = ("-F", str(self.config))

    def start(self):
        for one in (self.jump, self.login):
            if one.process is None:
                one.start()

    def stop(self):
        self.login.stop()
        self.jump.stop()

    @contextlib.contextmanager
    def own_cluster(self, n, **kwargs):
        """Run one more cluster there."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.place.environment.items():
                patch.setenv(name, value)
            cluster = Cluster(n, **kwargs).start()
        try:
            yield cluster
        finally:
            cluster.stop()

    def connect(self, where="", **kwargs):
        kwargs = {"options": self.options, **kwargs}
        return connect("login", where or self.cluster.job_id, **kwargs)
