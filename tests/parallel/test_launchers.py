"""ipyparallel starts controllers and engines as jobs of the embedded queue."""

from __future__ import annotations

import os
import subprocess
import sys

import ipyparallel as ipp
import pytest

from tests.hubs import wait_for

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def cluster(place, **kwargs):
    return ipp.Cluster(
        engines="batchspawner", profile_dir=str(place.profiles / "profile_test"),
        controller_args=["--HeartMonitor.period=300"], delay=0, **kwargs,
    )  # fmt: skip


def test_engines_join_from_one_job(place):
    with cluster(place, n=2) as rc:
        assert len(set(rc[:].apply_sync(os.getpid))) == 2
        assert list(place.jobs().values()) == ["RUNNING"]
    assert (place.jobs(), place.left()) == ({}, [])


def test_ipcluster_starts_and_stops_them_too(place):
    profile = f"--profile-dir={place.profiles / 'profile_test'}"
    command = [sys.executable, "-m", "ipyparallel.cluster"]
    started = [*command, "start", "--n=2", "--engines=batchspawner", profile, "--daemonize"]
    subprocess.run(started, check=True, capture_output=True, timeout=60)
    with ipp.Client(profile_dir=str(place.profiles / "profile_test")) as rc:
        rc.wait_for_engines(2, timeout=60, interactive=False)
        assert rc[:].apply_sync(abs, -3) == [3, 3]
    assert list(place.jobs().values()) == ["RUNNING"]
    subprocess.run([*command, "stop", profile], check=True, capture_output=True, timeout=60)
    wait_for(lambda: place.jobs() == {}, 30, "the end of the job")
    assert place.left() == []


def test_controller_and_engines_are_jobs_of_their_own(place):
    with cluster(place, n=1, controller="batch-local") as rc:
        assert rc[:].apply_sync(abs, -3) == [3]
        assert list(place.jobs().values()) == ["RUNNING", "RUNNING"]
    assert (place.jobs(), place.left()) == ({}, [])


def test_a_timeout_of_the_engines_does_not_count_in_the_queue(place):
    filler = place.fill(seconds=4)
    with cluster(place, n=1, engine_timeout=20) as rc:
        assert filler not in place.jobs()
        assert rc.ids == [0]


def test_engines_that_cannot_start_say_why(place):
    one = cluster(place, n=1)
    one.config.JobEngineSetLauncher.engine_args = ["--no-such-option=1"]
    with pytest.raises(Exception, match="exit status 2") as caught, one:
        pass
    assert "unrecognized arguments: --no-such-option=1" in str(caught.value)
    one.stop_cluster_sync()
    assert place.left() == []


def test_a_killed_job_is_seen(place):
    one = cluster(place, n=1)
    with one as rc:
        engines = one.engine_set
        (job_id,) = place.jobs()
        place.queue("cancel", job_id)
        wait_for(lambda: engines.state == "after", 20, "the end of the engines")
        assert engines.poll() == -15
        rc.close()


def test_another_process_takes_up_the_jobs(place):
    one = cluster(place, n=1)
    one.start_cluster_sync()
    other = ipp.Cluster.from_file(one.cluster_file)
    assert (other.engine_set.state, other.engine_set.poll()) == ("running", None)
    other.stop_cluster_sync()
    wait_for(lambda: one.engine_set.state == "after", 20, "the end in the first process")
    one.stop_cluster_sync()
    assert (place.jobs(), place.left()) == ({}, [])
