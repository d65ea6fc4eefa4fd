"""A program of an ordinary user of a site, which uses clusters, and prints the results as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")

import ipyparallel as ipp  # noqa: E402

from batchspawner.clusters import Cluster  # noqa: E402

RUNTIME = "10m"
SECONDS = 600
"""How long anything may take on a busy machine, where it takes a moment on any other."""


def whole() -> object:
    """Run a cluster in one job, and look at what is left of it."""
    cluster = Cluster(2, runtime=RUNTIME)
    with cluster as rc:
        rc[:].scatter("x", [1, 2])
        seen = [len(set(rc[:].apply_sync(os.getpid))), rc[:]["x"], cluster.status.state.value]
        profile = cluster.profile_dir
    return [*seen, profile.exists()]


def engines() -> object:
    """Check that ipyparallel starts engines as an array, and that they join as they start."""
    one = ipp.Cluster(n=2, engines="batchspawner", profile_dir=_profile(), engine_timeout=SECONDS)
    one.config.JobEngineSetLauncher.engines_per_job = 1
    one.config.JobEngineSetLauncher.resources = {"runtime": RUNTIME}
    with one as rc:
        return [rc.ids, one.engine_set.state, len(one.engine_set.jobs_state)]


def controller() -> object:
    """Check that ipyparallel starts the controller as a job, too."""
    one = ipp.Cluster(
        n=1, controller="batchspawner", engines="batchspawner", profile_dir=_profile()
    )
    with one as rc:
        return rc[:].apply_sync(abs, -1)


def killed() -> object:
    """See the end of engines whose job somebody cancels."""
    one = ipp.Cluster(n=1, engines="batchspawner", profile_dir=_profile())
    with one as rc:
        launcher = one.engine_set
        print(launcher.jobs_state[0]["id"], flush=True)
        end = time.monotonic() + SECONDS
        while launcher.state != "after" and time.monotonic() < end:
            time.sleep(0.1)
        rc.close()
        return [launcher.state, launcher.poll() not in (0, None)]


def nodes() -> object:
    """Spread engines over nodes."""
    with Cluster(4, nodes=2, runtime=RUNTIME) as rc:
        return sorted(rc[:].apply_sync(os.getenv, "SLURM_NODEID"))


def ranks(launch: str = "mpiexec --oversubscribe") -> object:
    """Run engines as the ranks of one MPI program."""
    with Cluster(2, mpi=launch, runtime=RUNTIME) as rc:
        rc[:].execute("from mpi4py import MPI; n = MPI.COMM_WORLD.allreduce(1)", block=True)
        return rc[:]["n"]


def steps() -> object:
    """Run them as Slurm's own tool starts MPI programs."""
    return ranks("srun --mpi=pmix")


def _profile() -> str:
    return os.path.join(os.environ["IPYTHONDIR"], "profile_test")


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
