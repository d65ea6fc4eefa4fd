"""ipyparallel clusters that run in jobs: ``batchspawner cluster``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ..client.blocking_client import run
from ..errors import BatchError
from .terminal import print_table

if TYPE_CHECKING:
    from ..clusters import Cluster
    from ..clusters.listing import ListedJob

_OPTIONS = {
    "queue": "queue (partition) of the job",
    "account": "account that pays for the job",
    "runtime": "how long the job may run, such as 2h or 1-12:00:00",
    "memory": "memory of the job on a node, such as 8G",
    "nprocs": "cores of an engine",
    "gpus": "GPUs of the job",
    "reservation": "reservation to run in",
}


class StartArguments(argparse.Namespace):
    """The command line of `batchspawner cluster start`, which also has all of `_OPTIONS`."""

    n: int
    nodes: int
    mpi: bool | str
    notebook: bool | str
    scheduler: str
    resource: list[str]
    wait: bool


class StopArguments(argparse.Namespace):
    """The command line of `batchspawner cluster stop`."""

    jobs: list[str]
    all: bool
    ended: bool


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `cluster` and its verbs to the command line."""
    top = commands.add_parser(
        "cluster",
        help="start, list and stop ipyparallel clusters that run in jobs",
        description="A cluster is one job: the controller, its engines, and a Jupyter server.",
    )
    verbs = top.add_subparsers(metavar="VERB", required=True)
    _add_start(verbs)
    one = verbs.add_parser("list", help="print the clusters and the states of their jobs")
    one.set_defaults(run=_list)
    one = verbs.add_parser("stop", help="end clusters and remove their files")
    one.add_argument("jobs", nargs="*", metavar="JOBID", help="id of a cluster's job")
    one.add_argument("--all", action="store_true", help="stop every cluster")
    one.add_argument("--ended", action="store_true", help="remove the files of ended jobs")
    one.set_defaults(run=_stop)


def _add_start(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = verbs.add_parser("start", help="submit a cluster, and print how to use it")
    one.add_argument("n", type=int, metavar="ENGINES", help="number of engines")
    one.add_argument("--nodes", type=int, default=1, help="number of nodes (%(default)s)")
    one.add_argument(
        "--mpi",
        nargs="?",
        const=True,
        default=False,
        metavar="COMMAND",
        help="start the engines as MPI ranks, by srun or mpiexec",
    )
    one.add_argument(
        "--notebook",
        nargs="?",
        const=True,
        default=False,
        metavar="KIND",
        help="add a Jupyter server: lab, notebook or server",
    )
    one.add_argument("--scheduler", default="auto", help="name of the scheduler (%(default)s)")
    for name, text in _OPTIONS.items():
        one.add_argument(f"--{name}", help=text)
    one.add_argument(
        "--resource",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="anything else that a job can ask for; may be repeated",
    )
    one.add_argument("--wait", action="store_true", help="return when all engines have joined")
    one.set_defaults(run=_start)


def _start(arguments: StartArguments) -> int:
    from ..clusters import Cluster

    given: dict[str, str | None] = {name: getattr(arguments, name) for name in _OPTIONS}
    for pair in arguments.resource:
        name, equals, value = pair.partition("=")
        if not equals:
            return _fail(f"--resource {pair!r} is not of the form NAME=VALUE")
        given[name] = value
    resources: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        cluster = Cluster(
            arguments.n,
            nodes=arguments.nodes,
            mpi=arguments.mpi,
            notebook=arguments.notebook,
            scheduler=arguments.scheduler,
            **resources,
        ).start()
        job_id, profile = cluster.job_id, cluster.profile
        print(f"Job {job_id} was submitted to {cluster.scheduler.title}.")
        if arguments.wait:
            _wait(cluster)
        cluster.detach()
    except (BatchError, LookupError) as error:
        return _fail(error)
    print(
        "Here:           import ipyparallel as ipp; "
        f"rc = ipp.Client(profile={profile!r}); rc.wait_for_engines({cluster.n})\n"
        f"From a laptop:  batchspawner connect HOST {job_id}\n"
        f"To end it:      batchspawner cluster stop {job_id}"
    )
    return 0


def _wait(cluster: Cluster) -> None:
    """Wait until all engines have joined; stop a cluster that fails to start."""
    try:
        cluster.client().close()
    except BaseException:
        cluster.stop()
        raise


def _list(_arguments: argparse.Namespace) -> int:
    from ..clusters.listing import listing

    known = [one for one in run(listing()) if one.record.n]
    if not known:
        print("There is no cluster; start one with: batchspawner cluster start ENGINES")
        return 0
    print_table([("JOB", "ENGINES", "SCHEDULER", "PROFILE", "STATE"), *map(_row, known)])
    return int(any(one.status is None for one in known))


def _row(one: ListedJob) -> tuple[str, ...]:
    state = one.status.describe() if one.status else "its scheduler does not answer"
    record = one.record
    return record.job_id, str(record.n), record.scheduler, one.profile, state


def _stop(arguments: StopArguments) -> int:
    from ..clusters.listing import listing

    if not (arguments.jobs or arguments.all or arguments.ended):
        return _fail("name the clusters: JOBID, --all or --ended; see: batchspawner cluster list")
    jobs = list(arguments.jobs)
    if arguments.all or arguments.ended:
        known = run(listing())
        jobs += [one.record.job_id for one in known if arguments.all and one.record.n]
        for one in known:
            if arguments.ended and one.has_ended:
                one.remove()
    return max([0, *map(_stop_one, dict.fromkeys(jobs))])


def _stop_one(job_id: str) -> int:
    from ..clusters import Cluster

    try:
        Cluster.attach(job_id).stop()
    except BatchError as error:
        return _fail(error)
    print(f"Stopped the cluster of job {job_id}.")
    return 0


def _fail(error: object) -> int:
    print(f"batchspawner cluster: {error}", file=sys.stderr)
    return 1
