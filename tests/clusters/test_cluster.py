"""A whole ipyparallel cluster runs in one job of the embedded queue."""

from __future__ import annotations

import os

import pytest

from batchspawner.clusters import Cluster
from batchspawner.errors import BatchError, JobCancelled, JobFailed, OptionsError
from tests.clusters.killing import kill_oldest
from tests.hubs import wait_for

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_a_cluster_is_one_job_with_a_profile_of_its_name(place):
    cluster = Cluster(2)
    with cluster as rc:
        assert len(set(rc[:].apply_sync(os.getpid))) == 2
        assert place.jobs() == {cluster.job_id: "RUNNING"}
        # Engines have our IPYTHONDIR, where IPython makes its default profile.
        profiles = ["profile_default", f"profile_job_{cluster.job_id}"]
        assert sorted(os.listdir(place.profiles)) == profiles
    assert (place.jobs(), place.left()) == ({}, [])


_RANK = """
from mpi4py import MPI
rank = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
"""


def test_engines_can_be_mpi_ranks(place):
    pytest.importorskip("mpi4py")
    with Cluster(2, mpi="mpiexec --allow-run-as-root --oversubscribe") as rc:
        everyone = rc[:]
        everyone.execute(_RANK, block=True)
        assert sorted(everyone["rank"]) == [(0, 2), (1, 2)]
    assert place.left() == []


def test_another_process_attaches_to_a_cluster_and_stops_it(place):
    first = Cluster(1).start()
    other = Cluster.attach(first.job_id)
    with other.client() as rc:
        assert rc[0].apply_sync(abs, -1) == 1
    other.stop()
    first.stop()
    assert (place.jobs(), place.left()) == ({}, [])


def test_a_controller_that_cannot_start_says_why(place):
    cluster = Cluster(1, controller_args=["--no-such-option=1"])
    with pytest.raises(JobFailed, match="unrecognized arguments: --no-such-option=1"), cluster:
        pass
    assert place.left() == []


def test_a_cancelled_job_ends_the_wait_for_its_controller(place):
    place.fill(seconds=60)
    cluster = Cluster(1).start()
    place.queue("cancel", cluster.job_id)
    with pytest.raises(JobCancelled, match=cluster.job_id):
        cluster.wait()
    cluster.stop()
    assert place.left() == []


def test_a_killed_controller_ends_the_job(place):
    cluster = Cluster(1).start().wait()
    kill_oldest("ipyparallel.controller", cluster.profile_dir)
    wait_for(lambda: cluster.job_id not in place.jobs(), 30, "the end of the job")
    cluster.stop()
    assert place.left() == []


def test_a_killed_engine_leaves_the_others(place):
    with Cluster(2) as rc:
        with pytest.raises(Exception, match="died"):
            rc[0].apply(os._exit, 1).get(timeout=60)
        assert rc[1].apply_sync(abs, -1) == 1
    assert place.left() == []


def test_a_number_of_engines_that_makes_no_sense_is_refused():
    with pytest.raises(OptionsError, match="n: 0 is not allowed"):
        Cluster(0)
    with pytest.raises(OptionsError, match="nodes"):
        Cluster(1, nodes="two")
    with pytest.raises(OptionsError, match=r"choose one of lab, notebook, server"):
        Cluster(1, notebook="emacs")


def test_a_resource_that_does_not_exist_is_refused_before_anything_is_left(place):
    with pytest.raises(OptionsError, match="moemry"):
        Cluster(1, moemry="4G").start()
    assert place.left() == []


def test_a_cluster_that_does_not_run_says_so():
    with pytest.raises(BatchError, match="start\\(\\) submits its job"):
        _ = Cluster(1).job_id
